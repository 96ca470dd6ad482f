package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// readers is how many timers are asked for at a time.
const readers = 32

// alarms are the timers that ORDER_TIMERS stores, by order.
type alarms struct {
	// at is the server's clock when they were listed.
	at        time.Time
	scheduled map[messages.OrderID]alarm
	// fired orders have a wake-up that is not settled.
	fired map[messages.OrderID]bool
}

// alarm is the schedule of one order.
type alarm struct {
	sequence uint64
	park     uint64
	due      time.Time
	told     told
}

// listAlarms reads all timers. A subject that is no order's is an offense.
func (r *reader) listAlarms(ctx context.Context) (*alarms, error) {
	info, err := r.timers.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, fmt.Errorf("look into stream %s: %w", messages.StreamTimers, err)
	}
	a := &alarms{at: info.TimeStamp, scheduled: map[messages.OrderID]alarm{}, fired: map[messages.OrderID]bool{}}
	var ids []messages.OrderID
	for subject := range info.State.Subjects {
		prefix := messages.SubjectTimer
		if strings.HasPrefix(subject, messages.SubjectWake) {
			prefix = messages.SubjectWake
		}
		id, err := messages.IDFromSubject(prefix, subject)
		switch {
		case err != nil:
			r.report.offend("", fmt.Sprintf("%s stores a message on %s: %v", messages.StreamTimers, subject, err))
		case prefix == messages.SubjectWake:
			a.fired[id] = true
		default:
			ids = append(ids, id)
		}
	}
	return a, r.readAlarms(ctx, ids, a)
}

// readAlarms asks the leader for the schedule of each order; one that has fired by now is left out.
func (r *reader) readAlarms(ctx context.Context, ids []messages.OrderID, into *alarms) error {
	var (
		mu      sync.Mutex
		failed  error
		workers sync.WaitGroup
		work    = make(chan messages.OrderID)
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range min(readers, len(ids)) {
		workers.Go(func() {
			for id := range work {
				one, found, err := r.alarm(ctx, id)
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
					cancel()
				}
				if found {
					into.scheduled[id] = one
				}
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		work <- id
	}
	close(work)
	workers.Wait()
	if failed == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

// alarm is the schedule stored for the order.
func (r *reader) alarm(ctx context.Context, id messages.OrderID) (a alarm, found bool, err error) {
	m, err := r.timers.GetLastMsgForSubject(ctx, messages.SubjectTimer+string(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return alarm{}, false, nil
	}
	if err != nil {
		return alarm{}, false, fmt.Errorf("read the timer of order %s: %w", id, err)
	}
	return alarm{sequence: m.Sequence, park: parkOf(m.Header), due: dueOf(m.Header), told: toldBy(m.Data)}, true, nil
}

// parkOf is the park that a timer or wake-up names, 0 if it names none.
func parkOf(h nats.Header) uint64 {
	park, err := strconv.ParseUint(h.Get(messages.HeaderPark), 10, 64)
	if err != nil {
		return 0
	}
	return park
}

// dueOf is when a schedule fires, zero if it does not say.
func dueOf(h nats.Header) time.Time {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(h.Get("Nats-Schedule"), "@at "))
	if err != nil {
		return time.Time{}
	}
	return at
}
