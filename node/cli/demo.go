package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"encoding/json"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/demo"
)

// demoTimeout bounds the wait for the demo services' answer.
const demoTimeout = 3 * time.Second

func newDemo(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Change how the demo services behave, or show what they did",
		Long:  `Talk to the demo services of a node that was started with "orderly run --demo".`,
		Args:  arguments(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDemoBehave(t), newDemoStats(t))
	return cmd
}

func newDemoBehave(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "behave [CHANGES]",
		Short: "Change how the demo services behave; without CHANGES show it",
		Long: `Change how the demo services behave, and show what is in effect. CHANGES are separated by commas; each is about one
service (payments.fail=0.3) or all of them (fail=0.3):

  latency=20ms   mean time an answer takes
  fail=0.02      share of calls that fail for a while, before or after their effect
  reject=0.02    share of orders a service rejects
  pending=0      share of calls whose answer comes later, by a signal named as the step
  finish=2s      how long until that signal comes
  away=false     true: nobody answers`,
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
		Short: "Show as JSON what the demo services were asked and did, for all orders or one",
		Args:  arguments("[ID]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askDemo(cmd.Context(), t, demo.SubjectStats, strings.Join(args, ""), func(answer []byte) error {
				var indented bytes.Buffer
				if err := json.Indent(&indented, answer, "", jsonIndent); err != nil {
					return fmt.Errorf("read the answer of the demo services: %w", err)
				}
				fmt.Fprintln(t.out, indented.String())
				return nil
			})
		},
	}
}

// askDemo sends a request to the demo services and hands their answer to show.
func askDemo(ctx context.Context, t terminal, subject, body string, show func([]byte) error) error {
	return withConnection(ctx, t, func(c *connection) error {
		ctx, cancel := context.WithTimeout(ctx, demoTimeout)
		defer cancel()
		reply, err := c.nc.RequestWithContext(ctx, subject, []byte(body))
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("no demo services run on NATS at %s: start a node with \"orderly run --demo\"", c.url)
		case err != nil:
			return fmt.Errorf("ask the demo services: %w", err)
		case reply.Header.Get(micro.ErrorHeader) != "":
			return fmt.Errorf("the demo services refuse: %s", reply.Header.Get(micro.ErrorHeader))
		}
		return show(reply.Data)
	})
}
