package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
)

// Read audits the streams. The error wraps jetstream.ErrStreamNotFound when the server has no such streams.
func Read(ctx context.Context, js jetstream.JetStream) (*Report, error) {
	r := &reader{js: js, stranded: map[messages.OrderID]bool{}, report: &Report{Violations: []Violation{}, AttentionCauses: []Cause{}, Warnings: []string{}}}
	r.journal = newJournal(r.report)
	for name, s := range map[string]*jetstream.Stream{
		messages.StreamOrders: &r.orders, messages.StreamEvents: &r.events,
		messages.StreamTimers: &r.timers, messages.StreamDead: &r.dead, messages.StreamPlans: &r.plans, messages.StreamLedger: &r.ledger,
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
	js                                          jetstream.JetStream
	orders, events, timers, dead, plans, ledger jetstream.Stream
	report                                      *Report
	journal                                     *journal
	// stored is what ORDER_TIMERS stores.
	stored *timers
	// stranded orders have a Violation of their own.
	stranded map[messages.OrderID]bool
}

func (r *reader) read(ctx context.Context) error {
	r.report.Taken = time.Now().UTC()
	inbox, err := readWindow(ctx, r.orders)
	if err != nil {
		return err
	}
	dead, err := r.readDead(ctx)
	if err != nil {
		return err
	}
	r.report.Journal, err = r.each(ctx, r.events, false, func(seq uint64, m jetstream.Msg) {
		r.journal.add(seq, m.Subject(), m.Headers(), m.Data())
	})
	if err != nil {
		return err
	}
	// After the journal: a message that is in the journal no more is in the ledger.
	settled, err := r.readLedger(ctx)
	if err != nil {
		return err
	}
	if err := r.findStranded(ctx); err != nil {
		return err
	}
	if err := r.checkTimers(ctx); err != nil {
		return err
	}
	if err := r.readPlans(ctx); err != nil {
		return err
	}
	// No entry or dead letter that was read can name a later message.
	now, err := r.orders.Info(ctx)
	if err != nil {
		return fmt.Errorf("get the state of stream %s: %w", messages.StreamOrders, err)
	}
	r.journal.count()
	r.report.checkAttributions(r.journal.attributions, dead, now.State.LastSeq)
	r.report.accountFor(inbox, r.journal.attributions, dead, settled)
	r.cancelledTimers()
	r.report.warnForeign()
	r.report.sort()
	return nil
}

// readLedger reads the ledger, and notes what no node stored there.
func (r *reader) readLedger(ctx context.Context) (*ledger.State, error) {
	l, err := ledger.Read(ctx, r.js)
	if err != nil {
		return nil, err
	}
	for _, m := range l.Foreign {
		r.report.foreign(messages.StreamLedger, m.Sequence, m.Subject)
	}
	return l, nil
}

// readDead returns the inbox sequences that dead letters name. One that no node stored is a warning, and its headers are
// ignored.
func (r *reader) readDead(ctx context.Context) ([]uint64, error) {
	var named []uint64
	var err error
	r.report.Dead, err = r.each(ctx, r.dead, true, func(seq uint64, m jetstream.Msg) {
		if defects := ingress.CheckDeadLetter(m.Subject(), m.Headers()); len(defects) > 0 {
			r.report.warn(fmt.Sprintf("message %d of %[3]s is not a node's dead letter (%[2]s): see \"orderly dead show %[1]d\", remove it with \"orderly repair\"",
				seq, strings.Join(defects, ", "), messages.StreamDead))
			r.report.foreign(messages.StreamDead, seq, m.Subject())
			return
		}
		if m.Headers().Get(messages.HeaderDeadStream) != messages.StreamOrders {
			return
		}
		original, err := strconv.ParseUint(m.Headers().Get(messages.HeaderDeadSequence), 10, 64)
		if err != nil {
			r.report.violate("", fmt.Sprintf("dead letter %d does not identify its message: %v", seq, err))
			return
		}
		named = append(named, original)
	})
	return named, err
}
