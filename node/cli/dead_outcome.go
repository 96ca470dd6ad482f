package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
)

// outcomeInterval is how often the inbox is asked what became of messages that were sent back.
const outcomeInterval = 100 * time.Millisecond

// sentBack is a dead letter that was sent back.
type sentBack struct {
	// message is its new sequence in the inbox.
	message uint64
	// again is the dead letter that it became again, or nil.
	again *ingress.DeadLetter
}

// outcomes finds out what becomes of messages that were sent back.
type outcomes struct {
	js   jetstream.JetStream
	dead *ingress.DeadLetters
	sent []sentBack
	// from is the sequence of the next dead letter to read.
	from uint64
}

// redrive sends a dead letter back, and remembers it.
func (o *outcomes) redrive(ctx context.Context, seq uint64) (uint64, error) {
	message, err := o.dead.Redrive(ctx, seq)
	if err == nil {
		o.sent = append(o.sent, sentBack{message: message})
	}
	return message, err
}

// await waits until no message that was sent back is in the inbox, for a time, and prints what became of them. It fails if one is
// a dead letter again, or still in the inbox.
func (o *outcomes) await(ctx context.Context, t terminal, timeout time.Duration) error {
	if len(o.sent) == 0 || timeout == 0 {
		return nil
	}
	waiting, err := o.leaveInbox(ctx, timeout)
	if err != nil {
		return err
	}
	if err := o.readDeadLetters(ctx); err != nil {
		return err
	}
	settled, err := ledger.Read(ctx, o.js)
	if err != nil {
		return err
	}
	var again, without int64
	for _, s := range o.sent {
		switch {
		case waiting[s.message]:
		case s.again != nil:
			if again++; again <= maxListed {
				fmt.Fprintf(t.out, "message %d is dead letter %d again: %s\n", s.message, s.again.Sequence, s.again.Reason)
			}
		case settled.Set.Has(s.message):
			without++
		}
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{int64(len(o.sent)) - again - without - int64(len(waiting)), "took effect"},
		{without, "without effect"},
		{again, "dead again"},
		{int64(len(waiting)), "still in the inbox: in progress, or no node runs"},
	} {
		if line.n > 0 {
			fmt.Fprintf(t.out, "  %d %s\n", line.n, line.text)
		}
	}
	if again > 0 || len(waiting) > 0 {
		return errSilent
	}
	return nil
}

// leaveInbox waits until the messages have left the inbox, and returns those that have not when the time is over.
func (o *outcomes) leaveInbox(ctx context.Context, timeout time.Duration) (waiting map[uint64]bool, err error) {
	inbox, err := o.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return nil, err
	}
	waiting = map[uint64]bool{}
	for _, s := range o.sent {
		waiting[s.message] = true
	}
	over := time.After(timeout)
	tick := time.NewTicker(outcomeInterval)
	defer tick.Stop()
	for {
		for seq := range waiting {
			_, err := inbox.GetMsg(ctx, seq)
			switch {
			case errors.Is(err, jetstream.ErrMsgNotFound):
				delete(waiting, seq)
			case ctx.Err() != nil:
				return nil, ctx.Err()
			}
		}
		if len(waiting) == 0 {
			return waiting, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			return waiting, nil
		case <-tick.C:
		}
	}
}

// readDeadLetters finds the dead letters that messages have become again.
func (o *outcomes) readDeadLetters(ctx context.Context) error {
	bySequence := make(map[uint64]*sentBack, len(o.sent))
	for i := range o.sent {
		bySequence[o.sent[i].message] = &o.sent[i]
	}
	for l, err := range o.dead.All(ctx, ingress.DeadFilter{From: o.from}) {
		if err != nil {
			return err
		}
		if s := bySequence[l.Source]; s != nil && !l.Foreign && l.Stream == messages.StreamOrders {
			s.again = l
		}
	}
	return nil
}
