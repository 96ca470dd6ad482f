package ingress

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// Timers schedules wake-ups that survive every node. Close it in the end.
type Timers struct {
	courier *courier
}

// NewTimers schedules through nc.
func NewTimers(nc *nats.Conn) (*Timers, error) {
	c, err := newCourier(nc, requestTimeout)
	if err != nil {
		return nil, err
	}
	return &Timers{courier: c}, nil
}

// Schedule makes the order wake up at the timer's time, or at once if that has passed; it replaces the timer scheduled
// before, so that repeating it is harmless. It returns when the timer is stored. One after the year 2261 fires at once.
func (t *Timers) Schedule(ctx context.Context, timer messages.Timer) error {
	_, err := t.courier.deliver(ctx, schedule(timer))
	if err != nil {
		return fmt.Errorf("schedule order %s: %w", timer.OrderID, err)
	}
	return nil
}

// Close gives up on what is not acknowledged. Timers that are stored fire nevertheless.
func (t *Timers) Close() { t.courier.close() }

// schedule is one message per order and subject. The header is written by hand because the client library would cut the
// time off to whole seconds, and wake the order too early.
func schedule(t messages.Timer) *nats.Msg {
	m := nats.NewMsg(messages.SubjectTimer + string(t.OrderID))
	m.Header["Nats-Schedule"] = []string{"@at " + t.At.UTC().Format(time.RFC3339Nano)}
	m.Header["Nats-Schedule-Target"] = []string{messages.SubjectWake + string(t.OrderID)}
	m.Header[messages.HeaderPark] = []string{strconv.FormatUint(t.Park, 10)}
	if t.Traceparent != "" {
		m.Header[messages.HeaderTraceparent] = []string{t.Traceparent}
	}
	m.Data = t.Snapshot
	return m
}
