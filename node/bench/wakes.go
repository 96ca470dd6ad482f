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

// Wakes are the delays, from the journal, between the times of the timers and the resumption of the orders.
type Wakes struct {
	// First, P50, P99 and Last are delays of single orders.
	First time.Duration `json:"first_ns"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Last  time.Duration `json:"last_ns"`
	// AllResumed and AllEnded are the delays of the last order after the last timer was due.
	AllResumed time.Duration `json:"all_resumed_ns"`
	AllEnded   time.Duration `json:"all_ended_ns"`
	// Takeovers counts orders that were taken over after a redelivery.
	Takeovers int `json:"takeovers"`
}

// orderTimes is what the journal has about one order.
type orderTimes struct {
	parked, resumed, ended time.Time
	parks, wakes           int
	completed              bool
}

// checkJournal reads the whole journal and fails unless every parked order was woken once for each park, not before its time,
// and completed.
func (p *parkedRun) checkJournal(ctx context.Context) error {
	orders := make(map[string]*orderTimes, len(p.dueTimes))
	err := journal.Scan(ctx, p.server.js, func(e journal.Entry) error {
		id := e.Entry.GetOrderId()
		s := orders[id]
		if s == nil {
			s = &orderTimes{}
			orders[id] = s
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
	return p.summarize(orders)
}

func (p *parkedRun) summarize(orders map[string]*orderTimes) error {
	var late, others []time.Duration
	var resumed, ended time.Time
	for id, s := range orders {
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

// currentHeap is the size of the heap, garbage included.
func currentHeap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
