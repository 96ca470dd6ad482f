package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// A suspect is looked at so often, with a pause in between: a schedule that fires is for a moment neither timer nor
// wake-up, and a replica may answer with an older history.
const (
	rounds = 3
	pause  = 250 * time.Millisecond
)

// findForgotten reports the unfinished orders that nobody carries (I2).
//
// The inbox is read before the timers: an order that parks schedules its timer before its driver is acknowledged.
func (r *reader) findForgotten(ctx context.Context) error {
	inbox, err := look(ctx, r.orders)
	if err != nil {
		return err
	}
	if r.alarms, err = r.listAlarms(ctx); err != nil {
		return err
	}
	var suspects []messages.OrderID
	for id, h := range r.book.live {
		switch {
		case h.state.Status == order.Attention:
		case h.state.Status == order.Parked && r.alarms.wake(id, h):
		case h.driver.Stream == messages.StreamOrders && inbox.stores(h.driver.Sequence):
		default:
			// Also whoever is driven by a wake-up: those are few, and looked at one by one.
			suspects = append(suspects, id)
		}
	}
	return r.confirm(ctx, suspects)
}

// wake reports whether something that is stored wakes the parked order: a wake-up, whatever park it names (R5.4), or a
// schedule. One of an earlier park may come too late by any time.
func (a *alarms) wake(id messages.OrderID, h *history) bool {
	one, scheduled := a.scheduled[id]
	return a.fired[id] || scheduled && one.park >= h.state.Park
}

// confirm looks at each suspect again, on its own.
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
			forgotten, err := r.forgotten(ctx, id)
			if err != nil {
				return fmt.Errorf("look at order %s again: %w", id, err)
			}
			if forgotten {
				still = append(still, id)
			}
		}
		suspects = still
	}
	for _, id := range suspects {
		r.forgot[id] = true
		r.report.offend(id, r.complaint(id))
	}
	return nil
}

// forgotten reports whether nothing carries the order and its history has not gone on since that was seen.
func (r *reader) forgotten(ctx context.Context, id messages.OrderID) (bool, error) {
	for {
		h := r.book.live[id]
		if h == nil || h.state.Status == order.Attention {
			return false, nil
		}
		if carried, err := r.carried(ctx, id, h); carried || err != nil {
			return false, err
		}
		if grown, err := r.refresh(ctx, id, h); !grown || err != nil {
			return r.book.live[id] != nil, err
		}
	}
}

// carried asks the leaders: for what wakes a parked order, and for the message that drives the order, or last did.
func (r *reader) carried(ctx context.Context, id messages.OrderID, h *history) (bool, error) {
	if h.state.Status == order.Parked {
		one, found, err := r.alarm(ctx, id)
		if err != nil || found && one.park >= h.state.Park {
			return err == nil, err
		}
		if woken, err := stored(r.timers.GetLastMsgForSubject(ctx, messages.SubjectWake+string(id))); woken || err != nil {
			return woken, err
		}
	}
	stream := r.orders
	if h.driver.Stream == messages.StreamTimers {
		stream = r.timers
	}
	return stored(stream.GetMsg(ctx, h.driver.Sequence))
}

// stored takes the answer to a question for a message.
func stored(_ *jetstream.RawStreamMsg, err error) (bool, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// refresh takes in what the journal has stored of the order since. The leader says how much there is; the entries
// themselves may come from any replica.
func (r *reader) refresh(ctx context.Context, id messages.OrderID, h *history) (grown bool, err error) {
	subject := messages.SubjectEvent + string(id)
	info, err := r.events.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return false, err
	}
	count := info.State.Subjects[subject]
	if count == 0 {
		r.book.forget(id)
		return false, nil
	}
	for r.book.live[id] == h && uint64(h.state.Number) < count {
		m, err := r.events.GetMsg(ctx, h.state.Last+1, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return grown, nil
		}
		if err != nil {
			return grown, err
		}
		r.book.enter(m.Sequence, m.Subject, m.Data)
		grown = true
	}
	return grown, nil
}

func (r *reader) complaint(id messages.OrderID) string {
	h := r.book.live[id]
	driver := fmt.Sprintf("message %d of %s", h.driver.Sequence, h.driver.Stream)
	if h.state.Status != order.Parked {
		return fmt.Sprintf("%s, and its driver, %s, is stored no more: nobody carries it", h.state.Status, driver)
	}
	timer := "neither its timer"
	if one, scheduled := r.alarms.scheduled[id]; scheduled {
		timer = fmt.Sprintf("neither its timer (there is one of an earlier park, %d)", one.park)
	}
	return fmt.Sprintf("parked until %s, and %s nor a wake-up nor its last driver, %s, is stored: nobody will wake it in time",
		h.state.ParkedUntil.Format(time.RFC3339), timer, driver)
}
