package bench

import (
	"context"
	"fmt"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// Wakes are what the journal tells of the orders' return. A delay is from the time an order waits for.
type Wakes struct {
	// First and the others are how long after its time an order was resumed.
	First time.Duration `json:"first_ns"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Last  time.Duration `json:"last_ns"`
	// AllResumed and AllEnded are how long after the last timer was due the last order was resumed, and had ended.
	AllResumed time.Duration `json:"all_resumed_ns"`
	AllEnded   time.Duration `json:"all_ended_ns"`
	// Takeovers are orders that were taken over because their delivery came again.
	Takeovers int `json:"takeovers"`
}

// story is what the journal tells about one order.
type story struct {
	parked, resumed, ended time.Time
	parks, wakes           int
	completed              bool
}

// judge reads the whole journal: every parked order must have been woken once for each time it parked, not before its
// time, and have completed.
func (p *parking) judge(ctx context.Context) error {
	stories := make(map[string]*story, len(p.place))
	err := journal.Scan(ctx, p.ground.js, func(e journal.Entry) error {
		id := e.Entry.GetOrderId()
		s := stories[id]
		if s == nil {
			s = &story{}
			stories[id] = s
		}
		for _, event := range e.Entry.GetEvents() {
			switch k := event.GetKind().(type) {
			case *messages.Event_Parked:
				s.parks++
				s.parked = k.Parked.GetUntil().AsTime()
			case *messages.Event_Resumed:
				if k.Resumed.GetCause() != "wake" {
					p.result.Wakes.Takeovers++
					continue
				}
				s.wakes++
				s.resumed = e.Entry.GetTime().AsTime()
				if s.resumed.Before(s.parked) {
					return fmt.Errorf("order %s was resumed %s before its time", id, s.parked.Sub(s.resumed))
				}
			case *messages.Event_Completed:
				s.completed, s.ended = true, e.Time
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.sum(stories)
}

func (p *parking) sum(stories map[string]*story) error {
	var late, others []time.Duration
	var resumed, ended time.Time
	for id, s := range stories {
		if !s.completed {
			return fmt.Errorf("order %s did not complete", id)
		}
		if began, other := p.others[id]; other {
			others = append(others, s.ended.Sub(began))
			continue
		}
		if s.parks == 0 || s.wakes != s.parks {
			return fmt.Errorf("order %s parked %d times and was woken %d times", id, s.parks, s.wakes)
		}
		late = append(late, s.resumed.Sub(s.parked))
		resumed, ended = later(resumed, s.resumed), later(ended, s.ended)
	}
	if len(late) != p.cfg.Orders || len(others) != len(p.others) {
		return fmt.Errorf("%d parked and %d other orders in the journal: want %d and %d", len(late), len(others), p.cfg.Orders, len(p.others))
	}
	slices.Sort(late)
	last := p.due.Add(p.cfg.Window)
	w := &p.result.Wakes
	w.First, w.P50, w.P99, w.Last = late[0], quantile(late, 0.50), quantile(late, 0.99), late[len(late)-1]
	w.AllResumed, w.AllEnded = resumed.Sub(last), ended.Sub(last)
	if slices.Sort(others); len(others) > 0 {
		p.result.Others = Latency{P50: quantile(others, 0.50), P95: quantile(others, 0.95), P99: quantile(others, 0.99)}
	}
	p.result.OthersCount = len(others)
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quantile of sorted durations.
func quantile(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// liveHeap is what the heap holds at the moment, garbage included.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
