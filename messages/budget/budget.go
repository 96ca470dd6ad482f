// Package budget counts the bytes of orders and messages that a node holds in memory, so that it takes no more beyond a limit.
//
// Ingress counts each delivery from its receipt until it is settled; an order actor counts what it has read or appended of its
// order. Intake gives way first: messages about orders are requested up to half of the limit, wake-ups of accepted orders up to the
// limit. Nothing is decoded beyond it.
package budget

import "sync/atomic"

// Budget is safe for concurrent use. The nil Budget has no limit.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// New returns a budget of that many bytes.
func New(limit int64) *Budget { return &Budget{limit: limit} }

// Add counts n more bytes, or fewer if n is negative. It never refuses: check before that there is room.
func (b *Budget) Add(n int64) {
	if b != nil {
		b.used.Add(n)
	}
}

// Used is the number of bytes that are counted.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Full reports whether nothing may be decoded.
func (b *Budget) Full() bool { return b != nil && b.used.Load() >= b.limit }

// HalfFull reports whether no new orders may be requested.
func (b *Budget) HalfFull() bool { return b != nil && b.used.Load() >= b.limit/2 }
