package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

func newDead(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show dead letters, send them back to the inbox, or delete them",
		Long: `Dead letters are messages that no node could apply to an order: undecodable, wrong subject, too large, unknown order, other
content under a known id. They keep the original subject, headers and body.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadList(t), newDeadShow(t), newDeadRedrive(t), newDeadDiscard(t))
	return cmd
}

// deadLetter is the JSON form of a dead letter.
type deadLetter struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	OrderID  string    `json:"order_id,omitempty"`
	Reason   string    `json:"reason"`
	Subject  string    `json:"subject"`
	Stream   string    `json:"stream"`
	Source   uint64    `json:"source_sequence"`
	// Foreign: no node stored it; what it states about a message is unverified.
	Foreign bool        `json:"foreign,omitempty"`
	Headers nats.Header `json:"headers,omitempty"`
	// Body is a UTF-8 body, BodyBase64 any other; dead list omits both.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
}

// newDeadLetter converts a dead letter, with headers and body if whole.
func newDeadLetter(d *ingress.DeadLetter, whole bool) deadLetter {
	l := deadLetter{
		Sequence: d.Sequence, Time: d.Stored, OrderID: string(d.OrderID), Reason: d.Reason,
		Subject: d.Subject, Stream: d.Stream, Source: d.Source, Foreign: d.Foreign,
	}
	if !whole {
		return l
	}
	l.Headers = d.Header
	if utf8.Valid(d.Body) {
		l.Body = string(d.Body)
	} else {
		l.BodyBase64 = d.Body
	}
	return l
}

// withDeadLetters runs f on the dead letters of the server.
func withDeadLetters(ctx context.Context, t terminal, f func(*ingress.DeadLetters) error) error {
	return withConnection(ctx, t, func(c *connection) error {
		return f(ingress.NewDeadLetters(c.js))
	})
}

// deadFilter adds the flags that select dead letters.
func deadFilter(cmd *cobra.Command) func() (ingress.DeadFilter, error) {
	var order, reason string
	cmd.Flags().StringVar(&order, "order", "", "only those about this order")
	cmd.Flags().StringVar(&reason, "reason", "", "only those whose reason contains this")
	return func() (ingress.DeadFilter, error) {
		f := ingress.DeadFilter{Reason: reason}
		if order == "" {
			return f, nil
		}
		id, err := messages.ParseOrderID(order)
		f.OrderID = id
		return f, err
	}
}

func sequences(args []string) ([]uint64, error) {
	seqs := make([]uint64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || n == 0 {
			return nil, usage(fmt.Errorf("invalid sequence %q: want a number from \"orderly dead list\"", arg))
		}
		seqs[i] = n
	}
	return seqs, nil
}
