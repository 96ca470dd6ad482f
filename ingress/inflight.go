package ingress

import (
	"sync"
	"time"
)

// flight is the table of the deliveries held, ordered by their last sign of life, the oldest first. To be received is a
// sign of life.
type flight struct {
	mu         sync.Mutex
	head, tail *receipt
	count      int
	// empty, if not nil, is closed when the last delivery has gone.
	empty chan struct{}
}

func (f *flight) add(r *receipt) {
	f.mu.Lock()
	r.listed = true
	f.append(r)
	f.count++
	f.mu.Unlock()
}

func (f *flight) remove(r *receipt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.listed {
		return
	}
	r.listed = false
	f.unlink(r)
	f.count--
	if f.count == 0 && f.empty != nil {
		close(f.empty)
		f.empty = nil
	}
}

// due moves the deliveries whose last sign is at or before limit to the end, as if they had given one now, and appends
// them to buf.
func (f *flight) due(limit, now time.Duration, buf []*receipt) []*receipt {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := f.count; n > 0 && f.head.signed <= limit; n-- {
		r := f.head
		f.unlink(r)
		r.signed = now
		f.append(r)
		buf = append(buf, r)
	}
	return buf
}

func (f *flight) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// whenEmpty is closed as soon as nothing is held.
func (f *flight) whenEmpty() <-chan struct{} {
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

func (f *flight) append(r *receipt) {
	r.prev, r.next = f.tail, nil
	if f.tail == nil {
		f.head = r
	} else {
		f.tail.next = r
	}
	f.tail = r
}

func (f *flight) unlink(r *receipt) {
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
