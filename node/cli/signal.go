package cli

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
)

func newSignal(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "signal ID NAME [JSON]",
		Short: "Send a signal, with data, to the step that waits for it",
		Long: `Send a signal, with data, to the step that waits for it. "orderly get" shows the signal that a parked order waits for. A
signal that arrives before its step is kept for it.`,
		Example: `  orderly signal o-1042 payment_confirmed '{"reference":"p-77"}'`,
		Args:    arguments("ID", "NAME", "[JSON]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSignalName(args[1]); err != nil {
				return usage(err)
			}
			signal := &messages.SignalOrder{Name: args[1]}
			if len(args) == 3 {
				data, err := messages.NormalizeJSON(args[2])
				if args[2] == "" {
					err = errors.New("is empty: leave JSON out for a signal without data")
				}
				if err != nil {
					return usage(fmt.Errorf("signal data %.200q %w", args[2], err))
				}
				signal.Data = data
			}
			if err := ingress.CheckSignal(signal); err != nil {
				return usage(err)
			}
			return publishMessage(cmd.Context(), t, args[0], signal)
		},
	}
}

func checkSignalName(name string) error {
	switch {
	case name == "":
		return errors.New(`NAME is empty: want the signal the step waits for, which "orderly get" shows`)
	case len(name) > messages.MaxName:
		return fmt.Errorf("NAME has %d bytes: at most %d are allowed", len(name), messages.MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("NAME is %q: want UTF-8", name)
	}
	return nil
}

// publishMessage publishes a message about an order and waits until it is stored.
func publishMessage(ctx context.Context, t terminal, arg string, body proto.Message) error {
	return publishFor(ctx, t, arg, func(*client.Client, messages.OrderID) (proto.Message, error) { return body, nil })
}

// publishFor is publishMessage for a message that depends on the order.
func publishFor(ctx context.Context, t terminal, arg string, message func(*client.Client, messages.OrderID) (proto.Message, error)) error {
	id, err := messages.ParseOrderID(arg)
	if err != nil {
		return usage(err)
	}
	return withOrder(ctx, t, id, func(c *client.Client) error {
		body, err := message(c, id)
		if err == nil {
			err = c.PublishMessage(ctx, ingress.Outgoing{OrderID: id, Body: body})
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "stored; see the effect with: orderly get %s\n", id)
		return err
	})
}
