package hostile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// wellBehaved is the number of well-behaved orders of this test process, so that each has an id of its own.
var wellBehaved atomic.Int64

// load publishes well-behaved orders at a steady rate and measures how long each takes until its end is in the journal.
type load struct {
	h      *harness
	cancel context.CancelFunc
	// publishing ends with the last publish, orders with the end of the last order.
	publishing, orders sync.WaitGroup

	mu    sync.Mutex
	count int
	took  []time.Duration
}

// startLoad begins to publish. The orders continue until stop.
func (h *harness) startLoad() *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{h: h, cancel: cancel}
	h.Cleanup(func() { cancel(); l.publishing.Wait() })
	l.publishing.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.publish(fmt.Sprintf("good-%d", wellBehaved.Add(1)))
			case <-ctx.Done():
				return
			}
		}
	})
	return l
}

// publish publishes one order without waiting for an acknowledgement: its end is waited for.
func (l *load) publish(id string) {
	begun := time.Now()
	var ended sync.Once
	sub, err := l.h.observer.Subscribe(messages.SubjectEvent+id, func(m *nats.Msg) {
		events := strings.Split(m.Header.Get(messages.HeaderEvent), ",")
		if events[len(events)-1] == "completed" {
			ended.Do(func() {
				l.mu.Lock()
				l.took = append(l.took, time.Since(begun))
				l.mu.Unlock()
				_ = m.Sub.Unsubscribe()
				l.orders.Done()
			})
		}
	})
	if err != nil {
		l.h.Errorf("subscribe: %v", err)
		return
	}
	l.orders.Add(1)
	if err := l.h.observer.Publish(messages.SubjectOrder+id, orderBody(id)); err != nil {
		_ = sub.Unsubscribe()
		l.orders.Done()
		l.h.Errorf("publish: %v", err)
		return
	}
	l.mu.Lock()
	l.count++
	l.mu.Unlock()
}

// published is the number of orders so far.
func (l *load) published() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// completed is the number of orders that have completed.
func (l *load) completed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took)
}

// stop ends the publishing, waits until every order has completed, and returns how long each took.
func (l *load) stop() []time.Duration {
	l.h.Helper()
	l.cancel()
	l.publishing.Wait()
	last, deadline := -1, time.Time{}
	for l.completed() < l.published() {
		if now := l.completed(); now != last {
			last, deadline = now, time.Now().Add(natstest.Patience)
		}
		if time.Now().After(deadline) {
			l.h.Fatalf("%d of %d well-behaved orders have completed, none for %s\n%s", last, l.published(), natstest.Patience, l.h.node.tail())
		}
		<-time.After(5 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.took))
}

// percentile99 of sorted times.
func percentile99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	return took[(len(took)*99-1)/100].Round(time.Millisecond)
}

func orderBody(id string) []byte {
	return fmt.Appendf(nil, `{"order_id":%q,"customer_id":"c-1","items":[{"product_id":"sku-1","quantity":1,"unit_price":5}]}`, id)
}
