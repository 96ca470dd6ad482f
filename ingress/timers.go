package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Timers schedules wake-ups that the server stores and fires.
type Timers struct {
	js     jetstream.JetStream
	health *health.Check
}

// NewTimers schedules through js. The check gets the results; it may be nil.
func NewTimers(js jetstream.JetStream, check *health.Check) *Timers { return &Timers{js, check} }

// Schedule has the order woken at the timer's time, or at once if that has passed, and returns when the timer is stored. It
// replaces the order's earlier timer, so repeating it is harmless. A time after the year 2261 fires at once.
func (t *Timers) Schedule(ctx context.Context, timer messages.Timer) error {
	_, err := publish(ctx, t.js, timerMsg(timer))
	switch {
	case err == nil || natsclient.TooLarge(err):
		t.health.OK()
	case !errors.Is(err, context.Canceled):
		t.health.Fail(err)
	}
	if err != nil {
		return fmt.Errorf("schedule order %s: %w", timer.OrderID, err)
	}
	return nil
}

// timerMsg is the order's only message on its subject. Its header is set by hand because nats.go truncates the time to whole
// seconds, which would fire too early.
func timerMsg(t messages.Timer) *nats.Msg {
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
