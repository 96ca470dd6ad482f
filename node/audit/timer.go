package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// maxRequests is how many timers are requested at a time.
const maxRequests = 32

// timers is the content of ORDER_TIMERS, by order.
type timers struct {
	// at is the server's clock when they were listed.
	at        time.Time
	scheduled map[messages.OrderID]timer
	// fired orders have a wake-up that is not settled.
	fired map[messages.OrderID]bool
}

// timer is the schedule of one order.
type timer struct {
	sequence uint64
	park     uint64
	due      time.Time
	snapshot snapshotDigest
}

// readTimers reads all timers.
func (r *reader) readTimers(ctx context.Context) (*timers, error) {
	info, err := r.timers.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, fmt.Errorf("get the state of stream %s: %w", messages.StreamTimers, err)
	}
	t := &timers{at: info.TimeStamp, scheduled: map[messages.OrderID]timer{}, fired: map[messages.OrderID]bool{}}
	var ids []messages.OrderID
	for subject, count := range info.State.Subjects {
		prefix := messages.SubjectTimer
		if strings.HasPrefix(subject, messages.SubjectWake) {
			prefix = messages.SubjectWake
		}
		id, err := messages.IDFromSubject(prefix, subject)
		switch {
		case prefix == messages.SubjectWake:
			// One that no node can use becomes a dead letter.
			if err == nil {
				t.fired[id] = true
			}
			continue
		case err == nil:
			ids = append(ids, id)
		}
		if err := r.foreignTimers(ctx, subject, count); err != nil {
			return nil, fmt.Errorf("read stream %s: %w", messages.StreamTimers, err)
		}
	}
	return t, r.readSchedules(ctx, ids, t)
}

// readSchedules adds the schedule of each order; one that has fired since is omitted.
func (r *reader) readSchedules(ctx context.Context, ids []messages.OrderID, into *timers) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		taken   atomic.Int64
		mu      sync.Mutex
		workers sync.WaitGroup
	)
	for range min(maxRequests, len(ids)) {
		workers.Go(func() {
			for i := taken.Add(1) - 1; i < int64(len(ids)) && ctx.Err() == nil; i = taken.Add(1) - 1 {
				one, found, err := r.readTimer(ctx, ids[i])
				if err != nil {
					cancel(err)
				}
				if found {
					mu.Lock()
					into.scheduled[ids[i]] = one
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// readTimer asks the stream's leader for the schedule of the order.
func (r *reader) readTimer(ctx context.Context, id messages.OrderID) (t timer, found bool, err error) {
	m, err := r.timers.GetLastMsgForSubject(ctx, messages.SubjectTimer+string(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return timer{}, false, nil
	}
	if err != nil {
		return timer{}, false, fmt.Errorf("read the timer of order %s: %w", id, err)
	}
	if !isTimer(m.Header) {
		return timer{}, false, nil
	}
	return timer{sequence: m.Sequence, park: parkOf(m.Header), due: dueOf(m.Header), snapshot: digestBody(m.Data)}, true, nil
}

// isTimer reports whether a node may have stored the schedule.
func isTimer(h nats.Header) bool { return parkOf(h) > 0 || !dueOf(h).IsZero() }

// parkOf is the park that a timer or wake-up names, 0 if it names none.
func parkOf(h nats.Header) uint64 {
	park, err := strconv.ParseUint(h.Get(messages.HeaderPark), 10, 64)
	if err != nil {
		return 0
	}
	return park
}

// dueOf returns when a schedule fires, zero if its header is missing.
func dueOf(h nats.Header) time.Time {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(h.Get("Nats-Schedule"), "@at "))
	if err != nil {
		return time.Time{}
	}
	return at
}
