package cli

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
)

func newSignal(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "signal ID NAME [JSON]",
		Short: "Hand a signal, with data, to the step that waits for it",
		Long: `Hand a signal, with data, to the step that waits for it. "orderly get" shows the name a parked order waits for. A signal
that comes before its step is kept for it.`,
		Example: `  orderly signal o-1042 payment_confirmed '{"reference":"p-77"}'`,
		Args:    arguments("ID", "NAME", "[JSON]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSignal(args[1]); err != nil {
				return usage(err)
			}
			signal := &messages.SignalOrder{Name: args[1]}
			if len(args) == 3 {
				signal.Data = &structpb.Value{}
				if err := protojson.Unmarshal([]byte(args[2]), signal.Data); err != nil {
					return usage(fmt.Errorf("signal data %.200q is not JSON: %w", args[2], err))
				}
			}
			if err := ingress.CheckSignal(signal); err != nil {
				return usage(err)
			}
			return tell(cmd.Context(), t, args[0], signal)
		},
	}
}

// checkSignal says what is wrong with the name of a signal.
func checkSignal(name string) error {
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

// decide says what a person can do about an order in attention.
const decide = `An order in attention rests until a person decides. Retry calls the failed step again, with as many attempts as the
plan gives it; skip takes the step, or the undo, as done by hand; cancel undoes what was done.`

func newRetry(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Send an order in attention back to the step that failed",
		Long: decide + `

A parked order does not wait any longer: the step is called now.`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return tell(cmd.Context(), t, args[0], &messages.RetryOrder{})
		},
	}
}

func newSkip(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "skip ID",
		Short: "Send an order in attention past the step that failed",
		Long: decide + `

The skip is of the step that needs a person now: if it is another one by the time the skip arrives, nothing is passed over.
A parked order does not wait any longer: the step is called now, and nothing is passed over.`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return tellWhat(cmd.Context(), t, args[0], func(c *connection, id messages.OrderID) (proto.Message, error) {
				return skipNow(cmd.Context(), c, id)
			})
		},
	}
}

// skipNow is a skip of what needs a person now, or of whatever does when it arrives if nothing does.
func skipNow(ctx context.Context, c *connection, id messages.OrderID) (*messages.SkipStep, error) {
	orders, err := client.NewReader(c.nc)
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	view, err := orders.Order(ctx, id)
	switch {
	case errors.Is(err, client.ErrUnknownOrder):
		return &messages.SkipStep{}, nil
	case err != nil:
		return nil, err
	}
	step, direction, _ := view.NeedsAttention()
	return &messages.SkipStep{Step: step, Direction: direction}, nil
}

// tell publishes a message about an order and waits until it is stored.
func tell(ctx context.Context, t terminal, arg string, body proto.Message) error {
	return tellWhat(ctx, t, arg, func(*connection, messages.OrderID) (proto.Message, error) { return body, nil })
}

// tellWhat is tell of what has to be found out first.
func tellWhat(ctx context.Context, t terminal, arg string, find func(*connection, messages.OrderID) (proto.Message, error)) error {
	id, err := messages.ParseOrderID(arg)
	if err != nil {
		return usage(err)
	}
	return withConnection(ctx, t, func(c *connection) error {
		body, err := find(c, id)
		if err == nil {
			err = c.publish(ctx, id, body)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "stored; see what becomes of it with: orderly get %s\n", id)
		return err
	})
}

// publish puts a message about an order into the inbox.
func (c *connection) publish(ctx context.Context, id messages.OrderID, body proto.Message) error {
	p, err := ingress.NewPublisher(c.nc, ingress.PublisherConfig{})
	if err != nil {
		return err
	}
	defer p.Close()
	stored := make(chan error, 1)
	if err := p.Publish(ctx, ingress.Outgoing{OrderID: id, Body: body}, func(_ ingress.PubAck, err error) { stored <- err }); err != nil {
		return err
	}
	return <-stored
}
