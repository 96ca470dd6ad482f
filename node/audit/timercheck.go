package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// maxLate is how long after its time a schedule may still be stored: a server that was down fires late. It is also how much
// later than the end of its order's park a schedule may be due.
const maxLate = time.Minute

// checkTimers accounts for every order that ORDER_TIMERS stores a message of. A timer whose order is no longer parked is
// legal until it fires (R5.1, R5.5); one without an order, and one that has not fired although it is due, is a violation.
func (r *reader) checkTimers(ctx context.Context) error {
	for id, t := range r.stored.scheduled {
		if err := r.countTimer(ctx, id); err != nil {
			return err
		}
		if err := r.checkTimer(ctx, id, t); err != nil {
			return err
		}
	}
	for id := range r.stored.fired {
		if _, counted := r.stored.scheduled[id]; !counted {
			if err := r.countTimer(ctx, id); err != nil {
				return err
			}
		}
	}
	t := &r.report.Timers
	for id, h := range r.journal.live {
		if h.Status() == replay.Parked && !r.stored.wakes(id, h) && !r.stranded[id] {
			t.Unscheduled++
		}
	}
	t.Stored = t.Scheduled + t.Waking + t.Stale + t.Orphaned
	return nil
}

// countTimer counts an order by its stored timer or wake-up.
func (r *reader) countTimer(ctx context.Context, id messages.OrderID) error {
	if r.journal.live[id] == nil && r.journal.closed[id].why == 0 {
		return r.countUnknown(ctx, id)
	}
	park := r.stored.scheduled[id].park
	if h := r.journal.live[id]; h != nil && park > h.Last {
		// It may have parked again since the journal was read.
		if _, err := r.refresh(ctx, id, h); err != nil {
			return fmt.Errorf("read order %s again: %w", id, err)
		}
		if r.journal.live[id] == h && park > h.Last {
			r.report.violate(id, fmt.Sprintf("its timer is for a park at %d of %s, and its history ends at %d", park, messages.StreamEvents, h.Last))
		}
	}
	t := &r.report.Timers
	switch h := r.journal.live[id]; {
	case h == nil || h.Status() != replay.Parked:
		t.Stale++
	case r.stored.fired[id]:
		t.Waking++
	case park >= h.Park:
		t.Scheduled++
	default:
		t.Stale++ // of an earlier park; if the driver of this one is not stored either, the order is stranded
	}
	return nil
}

// countUnknown counts a timer of an order that was not in the journal when that was read: the order is younger, or its
// history was removed, or it never existed.
func (r *reader) countUnknown(ctx context.Context, id messages.OrderID) error {
	t := &r.report.Timers
	subject := messages.SubjectEvent + string(id)
	info, err := r.events.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return fmt.Errorf("look for order %s: %w", id, err)
	}
	if info.State.Subjects[subject] > 0 {
		if r.stored.fired[id] {
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
		other, err := isStored(r.events.GetMsg(ctx, park))
		if err != nil {
			return fmt.Errorf("look for the park of order %s: %w", id, err)
		}
		if !other {
			t.Orphaned++
			return nil
		}
	}
	t.Stale++
	r.report.violate(id, fmt.Sprintf("a timer of it is stored, for a park at %d of %s, and it was never accepted", park, messages.StreamEvents))
	return nil
}

// parkOfUnknown is the park that the order's timer or wake-up names, if one is still stored.
func (r *reader) parkOfUnknown(ctx context.Context, id messages.OrderID) (park uint64, found bool, err error) {
	t, found, err := r.readTimer(ctx, id)
	if found || err != nil {
		return t.park, found, err
	}
	m, err := r.timers.GetLastMsgForSubject(ctx, messages.SubjectWake+string(id))
	if found, err = isStored(m, err); !found || err != nil {
		return 0, false, err
	}
	return parkOf(m.Header), true, nil
}

// checkTimer reports a timer that should have fired, one that is due too late for its order, and one whose snapshot differs
// from the state of the order's history.
func (r *reader) checkTimer(ctx context.Context, id messages.OrderID, t timer) error {
	h := r.journal.live[id]
	wrong := cmp.Or(t.overdue(r.stored.at), t.late(h), t.snapshot.differs(h))
	if wrong == "" {
		return nil
	}
	again, found, err := r.readTimer(ctx, id)
	if found && again.sequence == t.sequence {
		r.report.violate(id, wrong)
	}
	return err
}

// overdue describes why a schedule should not be stored at that time, or returns "".
func (t timer) overdue(at time.Time) string {
	switch {
	case t.due.IsZero():
		return "its timer has no due time: it never fires"
	case at.Sub(t.due) > maxLate:
		return fmt.Sprintf("its timer was due at %s and had not fired at %s", t.due.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return ""
}

// late describes that the schedule of the current park is due too long after the park's end, or returns "".
func (t timer) late(h *history) string {
	if h == nil || h.Status() != replay.Parked || t.park < h.Park {
		return ""
	}
	until := h.Parked.GetUntil().AsTime()
	if t.due.Sub(until) <= maxLate {
		return ""
	}
	return fmt.Sprintf("its timer is due at %s, and it is parked until %s", t.due.UTC().Format(time.RFC3339), until.Format(time.RFC3339))
}
