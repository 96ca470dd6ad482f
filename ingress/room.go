package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
)

const (
	// inboxShare is the part of the store that the inbox may take: one of so many. The other parts are for what is accepted.
	inboxShare = 4
	// reserveShare and maxReserve bound what is always kept for accepted orders: one of so many parts, and bytes.
	reserveShare = 8
	maxReserve   = 1 << 30
	// orderNeed is the room that an accepted order may still need until it ends, in bytes, besides what dataNeed says: its timer, its
	// wake-up, and the entries of its steps.
	orderNeed = 8 << 10
	// dataNeed is the room for results and dead letters, in sizes of the order's data.
	dataNeed = 2
	// roomInterval is the time between two measurements; unlimitedInterval if the store has no limit.
	roomInterval      = time.Second
	unlimitedInterval = 30 * time.Second
	// unknownInterval: if the client may not read the limits, the server logs each attempt.
	unknownInterval = 10 * time.Minute
)

// ErrNoRoom is wrapped by the error about a store without room for new orders.
var ErrNoRoom = errors.New("no room for new orders")

// Room decides whether new orders are accepted: only while the store has room until all accepted orders have ended. The other
// messages stay in the inbox, whose own limit keeps them from taking that room. Its methods may be called from any goroutine.
type Room struct {
	js    jetstream.JetStream
	store Store
	check *health.Check
	log   *slog.Logger

	// tokens are the bytes that may be admitted until the next measurement; admitted is the need of the orders that were, and are not
	// released.
	tokens, admitted atomic.Int64
	// refused is what an order would have taken that was refused since the last measurement.
	refused      atomic.Int64
	closed       atomic.Bool
	last         atomic.Pointer[Measurement]
	registration metric.Registration

	// Only Measure uses these: what was logged.
	warned, unlimited bool
}

// Measurement of a store with a limit, in bytes.
type Measurement struct {
	StoreState
	// Of what is left, Inbox is for messages in the inbox, and Need is kept until the accepted orders have ended.
	Inbox, Need int64
	// Limited: the inbox has a limit of its own.
	Limited bool
}

// Orders is the room for new orders; negative if there is none. Others may fill the disk: then half of what is left on it is for the
// inbox, which may take less than its limit.
func (m Measurement) Orders() int64 {
	free := m.Left - m.Inbox
	if m.Disk > 0 {
		free = min(free, m.Disk/2)
	}
	return free - m.Need
}

// NewRoom measures store. The check fails while there is no room. New orders are admitted until the first measurement. The caller
// must call Close.
func NewRoom(js jetstream.JetStream, store Store, check *health.Check, log *slog.Logger, meter metric.Meter) (*Room, error) {
	r := &Room{js: js, store: store, check: check, log: log}
	r.tokens.Store(math.MaxInt64)
	var err error
	if r.registration, err = r.observe(meter); err != nil {
		return nil, fmt.Errorf("create the instruments of the store's room: %w", err)
	}
	return r, nil
}

// Close ends the observation of the metrics.
func (r *Room) Close() { _ = r.registration.Unregister() } // fails only for a registration of another meter

// Admit reports whether an order whose first entry has so many bytes may be accepted. Its room is kept until Release.
func (r *Room) Admit(size int) bool {
	cost := int64(size) + need(size)
	if r.tokens.Add(-cost) < 0 {
		r.tokens.Add(cost)
		r.refused.Store(cost)
		return false
	}
	r.admitted.Add(need(size))
	return true
}

// Release ends an Admit: the order has ended, or is parked, so that its timer counts.
func (r *Room) Release(size int) { r.admitted.Add(-need(size)) }

// need is the room for an order until it ends, after its first entry.
func need(size int) int64 { return dataNeed*int64(size) + orderNeed }

// Err returns why no new orders are accepted, or nil.
func (r *Room) Err() error {
	m := r.last.Load()
	if m == nil || !r.closed.Load() {
		return nil
	}
	disk := ""
	if m.Disk > 0 {
		disk = fmt.Sprintf(", the disk %d MiB", m.Disk>>20)
	}
	return fmt.Errorf("%w: the store has %d MiB left%s; %d are kept for the inbox and %d for accepted orders: add room, "+
		"or delete old orders by a shorter retention", ErrNoRoom, m.Left>>20, disk, m.Inbox>>20, m.Need>>20)
}

// Measured returns the last measurement, or nil if the store has no limit that is known.
func (r *Room) Measured() *Measurement { return r.last.Load() }

// Run measures until ctx ends.
func (r *Room) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.Measure(ctx)
		if err != nil {
			r.log.Debug("room of the store not measured", "error", err)
		}
		next := roomInterval
		if r.last.Load() == nil {
			if next = unlimitedInterval; err != nil {
				next = unknownInterval
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(next):
		}
	}
}

// Measure measures the store now.
func (r *Room) Measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	state, err := r.store(ctx)
	if err != nil {
		return err
	}
	if state.Limit == 0 {
		r.tokens.Store(math.MaxInt64)
		return nil
	}
	orders, err := r.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return err
	}
	timers, err := r.js.Stream(ctx, messages.StreamTimers)
	if err != nil {
		return err
	}
	inbox, parked := orders.CachedInfo(), timers.CachedInfo().State
	m := Measurement{StoreState: state, Limited: inbox.Config.MaxBytes > 0}
	inboxLimit := max(0, inbox.Config.MaxBytes)
	m.Inbox = max(0, inboxLimit-int64(inbox.State.Bytes))
	reserve := min(max(0, state.Limit-inboxLimit)/reserveShare, maxReserve)
	m.Need = reserve + r.admitted.Load() + dataNeed*int64(parked.Bytes) + orderNeed*int64(parked.Msgs)
	r.apply(m, reserve)
	return nil
}

// apply opens and closes the intake. It opens with more room than it closes, so that it does not flap.
func (r *Room) apply(m Measurement, reserve int64) {
	r.last.Store(&m)
	free := m.Orders()
	// Half of it: other nodes take from the same room, and what they take shows in the next measurement.
	tokens := max(0, free/2)
	closed := tokens == 0 || tokens < r.refused.Swap(0) || r.closed.Load() && free < reserve/2
	was := r.closed.Swap(closed)
	if closed {
		r.tokens.Store(0)
		r.check.Fail(r.Err())
	} else {
		r.tokens.Store(tokens)
		r.check.OK()
	}
	short := free < reserve
	log := r.log.With("store_bytes", m.Left, "inbox_bytes", m.Inbox, "kept_bytes", m.Need, "orders_bytes", max(0, free))
	switch {
	case closed && !was:
		log.Error("no room for new orders: they stay in the inbox until there is room")
	case was && !closed:
		log.Info("room for new orders again")
	case short && !closed && !r.warned:
		log.Warn("room for new orders is short")
	}
	r.warned = short
	if !m.Limited && !r.unlimited {
		r.unlimited = true
		log.Warn("the inbox has no limit, and can take the room of accepted orders: set max_bytes of its stream", "stream", messages.StreamOrders)
	}
}
