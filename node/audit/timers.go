package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// overdue is how long after its time a schedule may be stored: a server that was down fires late. It is also how much
// later than its order's time a schedule may be due.
const overdue = time.Minute

// checkTimers accounts for every order of which ORDER_TIMERS stores something. A timer whose order is parked no more is
// legal until it fires (R5.1, R5.5); one that nobody can have scheduled, or that does not fire, is not.
func (r *reader) checkTimers(ctx context.Context) error {
	for id, one := range r.alarms.scheduled {
		if err := r.place(ctx, id); err != nil {
			return err
		}
		if err := r.checkAlarm(ctx, id, one); err != nil {
			return err
		}
	}
	for id := range r.alarms.fired {
		if _, counted := r.alarms.scheduled[id]; !counted {
			if err := r.place(ctx, id); err != nil {
				return err
			}
		}
	}
	for id, h := range r.book.live {
		if h.state.Status == order.Parked && !r.alarms.wake(id, h) && !r.forgot[id] {
			r.report.Timers.Unscheduled++
		}
	}
	t := &r.report.Timers
	t.Stored = t.Scheduled + t.Waking + t.Stale + t.Orphaned
	return nil
}

// place counts what is stored for one order.
func (r *reader) place(ctx context.Context, id messages.OrderID) error {
	if r.book.live[id] == nil && r.book.closed[id] == 0 {
		return r.placeUnknown(ctx, id)
	}
	one := r.alarms.scheduled[id]
	if h := r.book.live[id]; h != nil && one.park > h.state.Last {
		// It may have parked again since its journal was read.
		if _, err := r.refresh(ctx, id, h); err != nil {
			return fmt.Errorf("look at order %s again: %w", id, err)
		}
		if r.book.live[id] == h && one.park > h.state.Last {
			r.report.offend(id, fmt.Sprintf("its timer is for a park at %d of %s, and its history ends at %d", one.park, messages.StreamEvents, h.state.Last))
		}
	}
	t := &r.report.Timers
	switch h := r.book.live[id]; {
	case h == nil || h.state.Status != order.Parked:
		t.Stale++
	case r.alarms.fired[id]:
		t.Waking++
	case one.park >= h.state.Park:
		t.Scheduled++
	default:
		t.Stale++ // of an earlier park; the driver of this one is stored, or it is an offense of its own
	}
	return nil
}

// placeUnknown counts a timer of an order that the journal did not tell of when it was read: the order is younger than
// that, or its history was removed, or there never was one.
func (r *reader) placeUnknown(ctx context.Context, id messages.OrderID) error {
	t := &r.report.Timers
	subject := messages.SubjectEvent + string(id)
	info, err := r.events.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return fmt.Errorf("look for order %s: %w", id, err)
	}
	if info.State.Subjects[subject] > 0 {
		if r.alarms.fired[id] {
			t.Waking++
		} else {
			t.Scheduled++
		}
		return nil
	}
	park, found, err := r.parkOfUnknown(ctx, id)
	if err != nil || !found {
		return err
	}
	if park > 0 && park <= info.State.LastSeq {
		another, err := stored(r.events.GetMsg(ctx, park))
		if err != nil {
			return fmt.Errorf("look for the park of order %s: %w", id, err)
		}
		if !another {
			t.Orphaned++
			return nil
		}
	}
	t.Stale++
	r.report.offend(id, fmt.Sprintf("a timer is stored for it, for a park at %d of %s, and it was never accepted", park, messages.StreamEvents))
	return nil
}

// parkOfUnknown is the park that the order's timer or wake-up names, if it is still stored.
func (r *reader) parkOfUnknown(ctx context.Context, id messages.OrderID) (park uint64, found bool, err error) {
	one, found, err := r.alarm(ctx, id)
	if found || err != nil {
		return one.park, found, err
	}
	m, err := r.timers.GetLastMsgForSubject(ctx, messages.SubjectWake+string(id))
	if found, err = stored(m, err); !found || err != nil {
		return 0, false, err
	}
	return parkOf(m.Header), true, nil
}

// checkAlarm finds a timer that should have fired, one that does not wake its order in time, and one that tells of it what
// is not so.
func (r *reader) checkAlarm(ctx context.Context, id messages.OrderID, one alarm) error {
	h := r.book.live[id]
	wrong := cmp.Or(one.overdue(r.alarms.at), one.late(h), one.told.wrong(h))
	if wrong == "" {
		return nil
	}
	again, found, err := r.alarm(ctx, id)
	if found && again.sequence == one.sequence {
		r.report.offend(id, wrong)
	}
	return err
}

// late says what is wrong with the schedule of the order's current park that fires too long after it, or "". What it has
// parked until never changes, and whoever schedules it again means the same time.
func (a alarm) late(h *history) string {
	if h == nil || h.state.Status != order.Parked || a.park < h.state.Park || a.due.Sub(h.state.ParkedUntil) <= overdue {
		return ""
	}
	return fmt.Sprintf("its timer is due at %s, and it is parked until %s", a.due.UTC().Format(time.RFC3339), h.state.ParkedUntil.UTC().Format(time.RFC3339))
}

// overdue says what is wrong with a schedule that is still stored at the time given, or "".
func (a alarm) overdue(at time.Time) string {
	switch {
	case a.due.IsZero():
		return "its timer does not say when it is due: it never fires"
	case at.Sub(a.due) > overdue:
		return fmt.Sprintf("its timer was due at %s and had not fired at %s", a.due.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return ""
}
