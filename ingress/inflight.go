package ingress

import (
	"context"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages/natsclient"
)

// inflightTable holds the deliveries that are not settled, ordered by the start of their current ack wait: when they were
// received or last extended.
type inflightTable struct {
	mu         sync.Mutex
	head, tail *heldDelivery
	count      int
	// empty, if not nil, is closed when the last delivery is removed.
	empty chan struct{}
}

func (f *inflightTable) add(r *heldDelivery) {
	f.mu.Lock()
	r.inTable = true
	f.append(r)
	f.count++
	f.mu.Unlock()
}

func (f *inflightTable) remove(r *heldDelivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.inTable {
		return
	}
	r.inTable = false
	f.unlink(r)
	f.count--
	if f.count == 0 && f.empty != nil {
		close(f.empty)
		f.empty = nil
	}
}

// due appends to buf the deliveries extended at or before limit, and marks them as extended now.
func (f *inflightTable) due(limit, now time.Duration, buf []*heldDelivery) []*heldDelivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := f.count; n > 0 && f.head.extendedAt <= limit; n-- {
		r := f.head
		f.unlink(r)
		r.extendedAt = now
		f.append(r)
		buf = append(buf, r)
	}
	return buf
}

func (f *inflightTable) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// whenEmpty returns a channel that is closed as soon as the table is empty.
func (f *inflightTable) whenEmpty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty == nil {
		f.empty = make(chan struct{})
	}
	empty := f.empty
	if f.count == 0 {
		close(f.empty)
		f.empty = nil
	}
	return empty
}

func (f *inflightTable) append(r *heldDelivery) {
	r.prev, r.next = f.tail, nil
	if f.tail == nil {
		f.head = r
	} else {
		f.tail.next = r
	}
	f.tail = r
}

func (f *inflightTable) unlink(r *heldDelivery) {
	if r.prev == nil {
		f.head = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		f.tail = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// extendAcks sends an in-progress ack for each held delivery that has gone a third of the ack wait without one.
func (i *Inbox) extendAcks(ctx context.Context) {
	third := i.cfg.AckWait / 3
	ticker := time.NewTicker(i.cfg.AckWait / 12)
	defer ticker.Stop()
	var due []*heldDelivery
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Since(i.start)
		due = i.inflight.due(now-third, now, due[:0])
		for _, r := range due {
			i.reply(r, natsclient.InProgress)
		}
		if len(due) > 0 {
			i.instruments.ackProgress.Add(ctx, int64(len(due)))
		}
		clear(due)
	}
}
