package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// A suspect is read again that many times, with that pause in between: a schedule that fires is for a moment neither timer
// nor wake-up, and a replica may answer with an older history.
const (
	rounds = 3
	pause  = 250 * time.Millisecond
)

// findStranded reports the unfinished orders that no stored message drives or wakes (I2).
//
// The inbox is read before the timers: an order that parks schedules its timer before its driver is acknowledged.
func (r *reader) findStranded(ctx context.Context) error {
	inbox, err := readWindow(ctx, r.orders)
	if err != nil {
		return err
	}
	if r.stored, err = r.readTimers(ctx); err != nil {
		return err
	}
	var suspects []messages.OrderID
	for id, h := range r.journal.live {
		switch {
		case h.Status() == replay.Attention:
		case h.Status() == replay.Parked && r.stored.wakes(id, h):
		case h.driver.GetStream() == messages.StreamOrders && inbox.stores(h.driver.GetSequence()):
		default:
			// Includes all orders that a wake-up drives: those are few.
			suspects = append(suspects, id)
		}
	}
	return r.confirm(ctx, suspects)
}

// wakes reports whether a stored message wakes the parked order: a wake-up of any park (R5.4), or a schedule. A schedule of
// an earlier park may be late by any time.
func (t *timers) wakes(id messages.OrderID, h *history) bool {
	scheduled, ok := t.scheduled[id]
	return t.fired[id] || ok && scheduled.park >= h.Park
}

// confirm reads each suspect again, and reports those that are still stranded.
func (r *reader) confirm(ctx context.Context, suspects []messages.OrderID) error {
	for round := 0; round < rounds && len(suspects) > 0; round++ {
		if round > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		still := suspects[:0]
		for _, id := range suspects {
			stranded, err := r.isStranded(ctx, id)
			if err != nil {
				return fmt.Errorf("read order %s again: %w", id, err)
			}
			if stranded {
				still = append(still, id)
			}
		}
		suspects = still
	}
	for _, id := range suspects {
		r.stranded[id] = true
		r.report.violate(id, r.whyStranded(id))
	}
	return nil
}

// isStranded reports whether no stored message drives or wakes the order, and its history did not grow after that was seen.
func (r *reader) isStranded(ctx context.Context, id messages.OrderID) (bool, error) {
	for {
		h := r.journal.live[id]
		if h == nil || h.Status() == replay.Attention {
			return false, nil
		}
		if moves, err := r.moves(ctx, id, h); moves || err != nil {
			return false, err
		}
		if grown, err := r.refresh(ctx, id, h); !grown || err != nil {
			return r.journal.live[id] != nil, err
		}
	}
}

// moves reports, from the streams' leaders, whether a timer or wake-up of the parked order is stored, or the message that
// drives the order, or drove it last.
func (r *reader) moves(ctx context.Context, id messages.OrderID, h *history) (bool, error) {
	if h.Status() == replay.Parked {
		t, found, err := r.readTimer(ctx, id)
		if err != nil || found && t.park >= h.Park {
			return err == nil, err
		}
		if woken, err := isStored(r.timers.GetLastMsgForSubject(ctx, messages.SubjectWake+string(id))); woken || err != nil {
			return woken, err
		}
	}
	stream := r.orders
	if h.driver.GetStream() == messages.StreamTimers {
		stream = r.timers
	}
	return isStored(stream.GetMsg(ctx, h.driver.GetSequence()))
}

// refresh folds what the journal has stored about the order since. The last sequence is the leader's; the entries themselves
// may be read from any replica.
func (r *reader) refresh(ctx context.Context, id messages.OrderID, h *history) (grown bool, err error) {
	subject := messages.SubjectEvent + string(id)
	info, err := r.events.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return false, err
	}
	count := info.State.Subjects[subject]
	if count == 0 {
		r.journal.forget(id)
		return false, nil
	}
	for r.journal.live[id] == h && h.messages < count {
		m, err := r.events.GetMsg(ctx, h.seen+1, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return grown, nil
		}
		if err != nil {
			return grown, err
		}
		if r.journal.add(m.Sequence, m.Subject, m.Header, m.Data) {
			grown = true
		}
	}
	return grown, nil
}

func (r *reader) whyStranded(id messages.OrderID) string {
	h := r.journal.live[id]
	driver := fmt.Sprintf("message %d of %s", h.driver.GetSequence(), h.driver.GetStream())
	if h.Status() != replay.Parked {
		return fmt.Sprintf("%s, and its driver, %s, is not stored: no node will drive it", h.Status(), driver)
	}
	earlier := ""
	if t, scheduled := r.stored.scheduled[id]; scheduled {
		earlier = fmt.Sprintf(" (only one of an earlier park, %d)", t.park)
	}
	return fmt.Sprintf("parked until %s, and neither a timer of this park%s nor a wake-up nor its last driver, %s, is stored: nothing will wake it in time",
		h.Parked.GetUntil().AsTime().Format(time.RFC3339), earlier, driver)
}
