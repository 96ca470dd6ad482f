package ingress

import (
	"errors"
	"log/slog"
	"math"
	"testing"

	"github.com/orderly-engine/orderly/messages/health"
)

const mib = 1 << 20

func newTestRoom() (*Room, *health.Monitor) {
	m := &health.Monitor{}
	r := &Room{check: m.Check("room", 0), log: slog.New(slog.DiscardHandler)}
	r.tokens.Store(math.MaxInt64)
	return r, m
}

func left(bytes int64) Measurement {
	return Measurement{StoreState: StoreState{Left: bytes, Limit: 300 * mib}, Limited: true}
}

func TestRoomClosesAndOpens(t *testing.T) {
	r, m := newTestRoom()
	const reserve = 20 * mib
	for _, c := range []struct {
		left int64
		open bool
	}{{100 * mib, true}, {20 * mib, true}, {1, false}, {9 * mib, false}, {11 * mib, true}, {1 * mib, true}, {-1, false}} {
		r.apply(left(c.left), reserve)
		if open := r.Err() == nil; open != c.open || (m.Err() == nil) != open || !open && !errors.Is(r.Err(), ErrNoRoom) {
			t.Errorf("%d bytes left: %v, check %v; open: want %t", c.left, r.Err(), m.Err(), c.open)
		}
		if r.Admit(1000) != c.open {
			t.Errorf("%d bytes left: an order is admitted: %t", c.left, !c.open)
		}
	}
}

// Between two measurements no more is admitted than half of the room, with all that the orders may need.
func TestRoomIsNotPromisedTwice(t *testing.T) {
	r, _ := newTestRoom()
	r.apply(left(100*mib), 20*mib)
	size, admitted := 200<<10, int64(0)
	for r.Admit(size) {
		admitted++
	}
	if used := admitted * (int64(size) + need(size)); used > 50*mib || used < 49*mib {
		t.Errorf("%d orders are admitted: %d bytes", admitted, used)
	}
	if got := r.admitted.Load(); got != admitted*need(size) {
		t.Errorf("%d bytes are kept for %d orders", got, admitted)
	}
	r.apply(left(100*mib), 20*mib)
	if r.Err() != nil || !r.Admit(size) {
		t.Errorf("a burst closes the room: %v", r.Err())
	}
	for range admitted + 1 {
		r.Release(size)
	}
	if got := r.admitted.Load(); got != 0 {
		t.Errorf("%d bytes are kept for no order", got)
	}
}

// What is left does not suffice for orders as they come: the node must say so.
func TestRoomForSmallerOrdersOnly(t *testing.T) {
	r, m := newTestRoom()
	r.apply(left(mib), 20*mib)
	if r.Admit(400<<10) || !r.Admit(1000) {
		t.Error("the order that fits is refused, or the one that does not fit is admitted")
	}
	r.apply(left(mib), 20*mib)
	if r.Err() == nil || m.Err() == nil || r.Admit(1000) {
		t.Errorf("open with an order that does not fit: %v", r.Err())
	}
}

func TestRoomOfTheDisk(t *testing.T) {
	m := Measurement{StoreState: StoreState{Left: 300 * mib, Limit: 400 * mib, Disk: 50 * mib}, Inbox: 100 * mib, Need: 10 * mib}
	if got := m.Orders(); got != 15*mib {
		t.Errorf("%d MiB for orders, want half of the disk less what is kept", got/mib)
	}
}
