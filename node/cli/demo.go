package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/demo"
)

// demoTimeout bounds a request to the demo services.
const demoTimeout = 3 * time.Second

func newDemo(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Change the behavior of the demo services, or show what they did",
		Long:  `Change or show the demo services of a node that was started with "orderly run --demo".`,
		Args:  arguments(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDemoBehave(t), newDemoStats(t))
	return cmd
}

func newDemoBehave(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "behave [CHANGES]",
		Short: "Change the behavior of the demo services; without CHANGES show it",
		Long: `Change the behavior of the demo services, and show it. CHANGES are separated by commas; each applies to one service
(payments.fail=0.3) or all of them (fail=0.3):

  latency=20ms   delay of a reply
  fail=0.02      share of calls that fail, half of them after their effect
  reject=0.02    share of first calls that are refused
  pending=0      share of first calls that are answered pending and finished by a signal named as the step
  finish=2s      time until that signal
  away=false     true: the services do not answer`,
		Example: "  orderly demo behave shipping.fail=1\n  orderly demo behave payments.away=true",
		Args:    arguments("[CHANGES]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes := strings.Join(args, "")
			if _, err := demo.ParseBehaviors(changes); err != nil {
				return usage(err)
			}
			return askDemo(cmd.Context(), t, demo.SubjectBehave, changes, func(answer []byte) error {
				for behavior := range strings.SplitSeq(string(answer), ",") {
					fmt.Fprintln(t.out, behavior)
				}
				return nil
			})
		},
	}
}

func newDemoStats(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "stats [ID]",
		Short: "Show the calls and effects of the demo services as JSON, for all orders or one",
		Args:  arguments("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDemo(cmd.Context(), t, demo.SubjectStats, strings.Join(args, ""), func(answer []byte) error {
				var indented bytes.Buffer
				if err := json.Indent(&indented, answer, "", jsonIndent); err != nil {
					return fmt.Errorf("read the reply of the demo services: %w", err)
				}
				fmt.Fprintln(t.out, indented.String())
				return nil
			})
		},
	}
}

// askDemo sends a request to the demo services and calls show with the reply.
func askDemo(ctx context.Context, t terminal, subject, body string, show func([]byte) error) error {
	return withConnection(ctx, t, func(c *connection) error {
		ctx, cancel := context.WithTimeout(ctx, demoTimeout)
		defer cancel()
		reply, err := c.nc.RequestWithContext(ctx, subject, []byte(body))
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("no demo services run on NATS at %s: start a node with \"orderly run --demo\"", c.url)
		case err != nil:
			return fmt.Errorf("request to the demo services: %w", err)
		case reply.Header.Get(micro.ErrorHeader) != "":
			return fmt.Errorf("the demo services refused the request: %s", reply.Header.Get(micro.ErrorHeader))
		}
		return show(reply.Data)
	})
}
