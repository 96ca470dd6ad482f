package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit"
)

// repairTimeout bounds one request.
const repairTimeout = 5 * time.Second

// maxRepairListed is how many messages the text of a repair lists; the JSON has all.
const maxRepairListed = 20

func newRepair(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Remove the messages in the streams that no node stored",
		Long: `List the messages in the streams of the engine that no node stored, and with --yes remove them, each by its sequence.

Whoever may publish an order can have the server store one: a message's reply subject takes the acknowledgement of its
stream. Nodes pass over such messages, and remove none by themselves, except in place of a plan. A removed message never
was part of an order, so the command may run at any time, also under load.

A foreign message among the timers cancels the timer of its order. Parked orders whose timers were cancelled are woken: a
node then sets the timer again.`,
		Args: arguments(),
	}
	output := outputFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "remove them; without it they are only listed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withConnection(cmd.Context(), t, func(c *connection) error {
			report, err := audit.Read(cmd.Context(), c.js)
			if err != nil {
				return err
			}
			r := &repair{Found: report.ForeignCount, Messages: report.Foreign}
			if *yes {
				err = r.remove(cmd.Context(), c.js)
			}
			if failed := writeResult(t.out, *output, r); err == nil {
				err = failed
			}
			return err
		})
	}
	return cmd
}

// repair is what a run found and did.
type repair struct {
	// Found counts the foreign messages; Messages are those that one run removes.
	Found    int                    `json:"found"`
	Messages []audit.ForeignMessage `json:"messages"`
	Removed  int                    `json:"removed"`
	// Woken are the orders whose cancelled timers are set again.
	Woken []messages.OrderID `json:"woken"`
}

// remove removes the messages and wakes the orders whose timers they cancelled. A wake-up comes first: after a failure in
// between, the next run finds the message again.
func (r *repair) remove(ctx context.Context, js jetstream.JetStream) error {
	streams := map[string]jetstream.Stream{}
	woken := map[messages.OrderID]bool{}
	for _, m := range r.Messages {
		if m.Cancelled != "" && !woken[m.Cancelled] {
			if err := wake(ctx, js, m.Cancelled); err != nil {
				return fmt.Errorf("wake order %s: %w", m.Cancelled, err)
			}
			woken[m.Cancelled] = true
			r.Woken = append(r.Woken, m.Cancelled)
		}
		if err := removeForeign(ctx, js, streams, m); err != nil {
			return fmt.Errorf("remove message %d of stream %s: %w", m.Sequence, m.Stream, err)
		}
		r.Removed++
	}
	return nil
}

// wake stores a wake-up of an earlier park: the node that takes it sets the timer of the current one (R5.4).
func wake(ctx context.Context, js jetstream.JetStream, id messages.OrderID) error {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	_, err := js.PublishMsg(ctx, &nats.Msg{Subject: messages.SubjectWake + string(id), Header: nats.Header{messages.HeaderPark: {"1"}}})
	return err
}

func removeForeign(ctx context.Context, js jetstream.JetStream, streams map[string]jetstream.Stream, m audit.ForeignMessage) (err error) {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	stream := streams[m.Stream]
	if stream == nil {
		if stream, err = js.Stream(ctx, m.Stream); err != nil {
			return err
		}
		streams[m.Stream] = stream
	}
	if err = stream.DeleteMsg(ctx, m.Sequence); err == nil {
		return nil
	}
	if _, getErr := stream.GetMsg(ctx, m.Sequence); errors.Is(getErr, jetstream.ErrMsgNotFound) {
		return nil // the timer that was set since replaced it, or another run removed it
	}
	return err
}

// MarshalJSON writes empty lists.
func (r *repair) MarshalJSON() ([]byte, error) {
	type plain repair
	p := plain(*r)
	if p.Messages == nil {
		p.Messages = []audit.ForeignMessage{}
	}
	if p.Woken == nil {
		p.Woken = []messages.OrderID{}
	}
	return json.Marshal(p)
}

// WriteText writes the result as text.
func (r *repair) WriteText(w io.Writer) error {
	for i, m := range r.Messages {
		if i == maxRepairListed {
			fmt.Fprintf(w, "and %d more\n", r.Found-maxRepairListed)
			break
		}
		fmt.Fprintf(w, "%s %d  %s\n", m.Stream, m.Sequence, strconv.QuoteToASCII(m.Subject))
	}
	for _, id := range r.Woken {
		fmt.Fprintf(w, "order %s: its timer was cancelled, and is set again\n", id)
	}
	var err error
	switch {
	case r.Found == 0:
		_, err = fmt.Fprintln(w, "every message was stored by a node: nothing to remove")
	case r.Removed == 0:
		_, err = fmt.Fprintf(w, "%d messages that no node stored; remove them with --yes\n", r.Found)
	case r.Removed < r.Found:
		_, err = fmt.Fprintf(w, "%d of %d messages removed; run the command again for the others\n", r.Removed, r.Found)
	default:
		_, err = fmt.Fprintf(w, "%d messages removed\n", r.Removed)
	}
	return err
}
