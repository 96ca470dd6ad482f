package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

// idle is how long a stream that has more to tell may be silent.
const idle = 10 * time.Second

// Read takes the ledger. The error wraps jetstream.ErrStreamNotFound when the server has no such streams.
func Read(ctx context.Context, js jetstream.JetStream) (*Report, error) {
	r := &reader{js: js, forgot: map[messages.OrderID]bool{}, report: &Report{Offenses: []Offense{}, AttentionCauses: []Cause{}, Warnings: []string{}}}
	r.book = newBook(r.report)
	for name, s := range map[string]*jetstream.Stream{
		messages.StreamOrders: &r.orders, messages.StreamEvents: &r.events,
		messages.StreamTimers: &r.timers, messages.StreamDead: &r.dead,
	} {
		var err error
		if *s, err = js.Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("open stream %s, which a node creates when it first starts: %w", name, err)
		}
	}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	return r.report, nil
}

type reader struct {
	js                           jetstream.JetStream
	orders, events, timers, dead jetstream.Stream
	report                       *Report
	book                         *book
	alarms                       *alarms
	// forgot are the orders that nobody carries.
	forgot map[messages.OrderID]bool
}

func (r *reader) read(ctx context.Context) error {
	r.report.Taken = time.Now().UTC()
	inbox, err := look(ctx, r.orders)
	if err != nil {
		return err
	}
	dead, err := r.readDead(ctx)
	if err != nil {
		return err
	}
	r.report.Journal, err = r.each(ctx, r.events, false, func(seq uint64, m jetstream.Msg) {
		r.book.enter(seq, m.Subject(), m.Data())
	})
	if err != nil {
		return err
	}
	if err := r.findForgotten(ctx); err != nil {
		return err
	}
	if err := r.checkTimers(ctx); err != nil {
		return err
	}
	// Nothing that was read can name a message that was stored later than this.
	now, err := r.orders.Info(ctx)
	if err != nil {
		return fmt.Errorf("look into stream %s: %w", messages.StreamOrders, err)
	}
	r.book.count()
	r.report.settle(inbox, r.book.claims, dead, now.State.LastSeq)
	r.report.sort()
	return nil
}

// readDead returns the inbox sequences that dead letters name. What no node stored names nothing, whatever it says.
func (r *reader) readDead(ctx context.Context) ([]uint64, error) {
	var named []uint64
	var err error
	r.report.Dead, err = r.each(ctx, r.dead, true, func(seq uint64, m jetstream.Msg) {
		if odd := ingress.CheckDeadLetter(m.Subject(), m.Headers()); len(odd) > 0 {
			r.report.warn(fmt.Sprintf("dead letter %d is of no message, no node stored it (%s): look at it with \"orderly dead show %[1]d\", remove it with \"nats stream rmm %[3]s %[1]d\"",
				seq, strings.Join(odd, ", "), messages.StreamDead))
			return
		}
		if m.Headers().Get(messages.HeaderDeadStream) != messages.StreamOrders {
			return
		}
		original, err := strconv.ParseUint(m.Headers().Get(messages.HeaderDeadSequence), 10, 64)
		if err != nil {
			r.report.offend("", fmt.Sprintf("dead letter %d does not say which message it was: %v", seq, err))
			return
		}
		named = append(named, original)
	})
	return named, err
}

// each hands all messages stored by now to take, in their order.
func (r *reader) each(ctx context.Context, s jetstream.Stream, headersOnly bool, take func(uint64, jetstream.Msg)) (Stored, error) {
	name := s.CachedInfo().Config.Name
	info, err := s.Info(ctx)
	if err != nil {
		return Stored{}, fmt.Errorf("look into stream %s: %w", name, err)
	}
	last := info.State.LastSeq
	stored := Stored{Messages: info.State.Msgs, Removed: last - info.State.Msgs}
	if info.State.Msgs == 0 {
		return stored, nil
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: headersOnly, InactiveThreshold: time.Minute})
	if err != nil {
		return stored, fmt.Errorf("read stream %s: %w", name, err)
	}
	defer ingress.RemoveConsumer(ctx, r.js, name, consumer)
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(2000))
	if err != nil {
		return stored, fmt.Errorf("read stream %s: %w", name, err)
	}
	defer msgs.Stop()
	for seen := uint64(0); seen < last; {
		m, err := next(ctx, msgs)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			var more bool
			if more, err = stores(ctx, s, seen+1, last); !more && err == nil {
				return stored, nil
			}
			err = cmp.Or(err, fmt.Errorf("nothing came for %s", idle))
		}
		if err != nil {
			return stored, fmt.Errorf("read stream %s after message %d of %d: %w", name, seen, last, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return stored, fmt.Errorf("read stream %s after message %d of %d: %w", name, seen, last, err)
		}
		if seen = meta.Sequence.Stream; seen <= last {
			take(seen, m)
		}
	}
	return stored, nil
}

// stores reports whether a message from first to last is left: those not read yet may have been removed meanwhile.
func stores(ctx context.Context, s jetstream.Stream, first, last uint64) (bool, error) {
	m, err := s.GetMsg(ctx, first, jetstream.WithGetMsgSubject(">"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && m.Sequence <= last, err
}

// next waits at most idle; the error then is context.DeadlineExceeded.
func next(ctx context.Context, msgs jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	return msgs.Next(jetstream.NextContext(ctx))
}
