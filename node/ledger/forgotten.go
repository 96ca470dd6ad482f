package ledger

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
	timers, err := look(ctx, r.timers, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	var suspects []messages.OrderID
	for id, h := range r.book.live {
		carried := inbox.stores(h.driver.Sequence)
		if h.driver.Stream == messages.StreamTimers {
			carried = timers.stores(h.driver.Sequence)
		}
		if h.state.Status == order.Parked {
			carried = carried || timers.subjects[messages.SubjectTimer+string(id)]+timers.subjects[messages.SubjectWake+string(id)] > 0
		}
		if !carried && h.state.Status != order.Attention {
			suspects = append(suspects, id)
		}
	}
	return r.confirm(ctx, suspects)
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
		r.report.offend(id, r.book.live[id].complaint())
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

// carried asks the leaders: the message that drives the order, or last did, and for a parked one its timer.
func (r *reader) carried(ctx context.Context, id messages.OrderID, h *history) (bool, error) {
	stream := r.orders
	if h.driver.Stream == messages.StreamTimers {
		stream = r.timers
	}
	_, err := stream.GetMsg(ctx, h.driver.Sequence)
	if h.state.Status == order.Parked {
		for _, prefix := range []string{messages.SubjectTimer, messages.SubjectWake} {
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				_, err = r.timers.GetLastMsgForSubject(ctx, prefix+string(id))
			}
		}
	}
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

func (h *history) complaint() string {
	driver := fmt.Sprintf("message %d of %s", h.driver.Sequence, h.driver.Stream)
	if h.state.Status == order.Parked {
		return fmt.Sprintf("parked until %s, and neither its timer nor a wake-up nor its last driver, %s, is stored: nobody will wake it",
			h.state.ParkedUntil.Format(time.RFC3339), driver)
	}
	return fmt.Sprintf("%s, and its driver, %s, is stored no more: nobody carries it", h.state.Status, driver)
}
