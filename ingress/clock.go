package ingress

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// warnOffset is the offset of the node's clock that is logged, again after warnInterval.
	warnOffset   = time.Second
	warnInterval = 10 * time.Minute
	// maxSweepOffset is the largest offset with which anything is deleted for its age: one of the two clocks is wrong.
	maxSweepOffset = time.Minute
	// clockSamples is how many answers are measured at the start; the fastest one counts.
	clockSamples = 3
	// maxClockAge is how long a measurement counts although later answers were slower.
	maxClockAge = time.Minute
)

// Clock is the clock of the NATS server, as this node measures it from the times in the server's answers. Stored messages and
// timers have the server's times. Between two measurements it runs with the node's monotonic clock, so that steps of the
// node's wall clock do not change it. A nil Clock is the node's own.
type Clock struct {
	log          *slog.Logger
	registration metric.Registration

	mu sync.Mutex
	// server is the server's time at local, a time of this node; delay is how long the answer took.
	server, local time.Time
	delay         time.Duration
	warned        time.Time
}

// NewClock measures the server's clock. The stream of the inbox must exist. The caller must call Close.
func NewClock(ctx context.Context, js jetstream.JetStream, log *slog.Logger, meter metric.Meter) (*Clock, error) {
	if meter == nil {
		meter = metricnoop.Meter{}
	}
	c := &Clock{log: log}
	for range clockSamples {
		if _, err := c.inboxInfo(ctx, js); err != nil {
			return nil, fmt.Errorf("measure the clock of the NATS server: %w", err)
		}
	}
	gauge, err := meter.Float64ObservableGauge("orderly.clock.offset", metric.WithUnit("s"),
		metric.WithDescription("how far the node's clock is ahead of the NATS server's"))
	if err != nil {
		return nil, err
	}
	c.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveFloat64(gauge, c.Offset().Seconds())
		return nil
	}, gauge)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the observation of the offset. It fails only for a registration of another meter.
func (c *Clock) Close() { _ = c.registration.Unregister() }

// inboxInfo asks for the state of the inbox, and measures the clock by the answer.
func (c *Clock) inboxInfo(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sent := time.Now()
	stream, err := js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.observe(stream.CachedInfo().TimeStamp, sent, time.Now())
	}
	return stream.CachedInfo(), nil
}

// observe takes the server's time from an answer, which is right to half of the time that the answer took. A much slower answer
// than the last one is only taken when that is old.
func (c *Clock) observe(server, sent, received time.Time) {
	c.mu.Lock()
	delay := received.Sub(sent)
	if taken := !c.server.IsZero(); taken && delay > 2*c.delay && received.Sub(c.local) < maxClockAge {
		c.mu.Unlock()
		return
	}
	c.server, c.local, c.delay = server, received.Add(-delay/2), delay
	offset := c.offset()
	warn := offset.Abs() > warnOffset && (c.warned.IsZero() || received.Sub(c.warned) >= warnInterval)
	if warn {
		c.warned = received
	}
	c.mu.Unlock()
	if warn {
		c.log.Warn("clock of this node differs from that of the NATS server, whose time counts: set the clocks by NTP",
			"ahead_s", offset.Seconds(), "delay_ms", delay.Milliseconds())
	}
}

// Now is the server's time.
func (c *Clock) Now() time.Time { return c.ServerTime(time.Now()) }

// ServerTime converts a time of this node, which time.Now or a sum with its result returned, to the server's clock.
func (c *Clock) ServerTime(t time.Time) time.Time {
	if c == nil {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.Add(t.Sub(c.local))
}

// Offset is how far the wall clock of the node was ahead of the server's when it was last measured.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset()
}

func (c *Clock) offset() time.Duration { return c.local.Round(0).Sub(c.server) }

// CheckSweep returns an error while the clocks differ so much that nothing may be deleted for its age.
func (c *Clock) CheckSweep() error {
	if c == nil {
		return nil
	}
	if offset := c.Offset(); offset.Abs() > maxSweepOffset {
		return fmt.Errorf("the clocks of this node and of the NATS server differ by %s: nothing is deleted for its age while that is more than %s",
			offset.Round(time.Millisecond), maxSweepOffset)
	}
	return nil
}
