package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/budget"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Journal holds the events of all orders.
type Journal interface {
	Append(*journal.Append)
	// Read returns the entries that the order's state is folded from: all of them, or, if some have a checkpoint, the
	// first and those from the last checkpoint on. fence is the last sequence on the order's subject, which an append after them
	// must expect.
	Read(context.Context, messages.OrderID) (entries []journal.Entry, fence uint64, err error)
}

// Steps performs step calls.
type Steps interface {
	Do(*gateway.Call, gateway.Done)
}

// Inbox looks up which messages of an order are still stored.
type Inbox interface {
	// FirstStored is the order's first stored message at or after from. Settled messages may still be stored: recorded ones,
	// and created messages of an order that exists.
	FirstStored(ctx context.Context, id messages.OrderID, from uint64) (stored messages.StoredMessage, found bool, err error)
	// Stored returns the first messages about the order that are stored, oldest first, without those that cannot be decoded.
	// Those that create the order have no body. It is not nil unless err is set.
	Stored(ctx context.Context, id messages.OrderID) ([]*delivery.Delivery, error)
}

// Timers wake parked orders.
type Timers interface {
	// Schedule replaces the order's timer: at its time a wake-up with the same contents is delivered.
	Schedule(context.Context, messages.Timer) error
}

// Room is the room of the store.
type Room interface {
	// Admit reports whether an order whose first entry has so many bytes may be accepted. If so, its room is kept until Release.
	Admit(size int) bool
	Release(size int)
}

// Deps are the dependencies of order actors.
type Deps struct {
	Journal Journal
	Steps   Steps
	Inbox   Inbox
	Timers  Timers
	// Memory counts what actors hold of their orders beside what ingress counts; nil: not counted.
	Memory *budget.Budget
	// Room may be nil: every order is accepted.
	Room Room
	// Downstreams knows how long services remember a key; nil: all of them for the default time.
	Downstreams *directory.Directory
}

// Config of the order actors.
type Config struct {
	// Node is written into every journal entry.
	Node string
	// Plan is pinned to the orders that are accepted from now on.
	Plan *messages.Plan
	// Hold is the longest wait in memory for the next attempt of a step; longer ones park the order. Default
	// 10 seconds; negative: every retry parks.
	Hold time.Duration
	// UnknownAge is how long a message about an order that does not exist is kept; default 1 minute.
	UnknownAge time.Duration
	// AckWait is how long a delivery may go without a progress acknowledgement; default 5 seconds.
	AckWait time.Duration
	// Redelivering reports whether messages may be stored in the inbox that were delivered to other nodes, and wait for their
	// orders. It must be cheap. Default: none are.
	Redelivering func() bool
	// CheckpointEvery is the number of entries between two with a checkpoint; default 16.
	CheckpointEvery uint32
	// Timeout bounds one read, look-up or scheduling; default 5 seconds.
	Timeout time.Duration
	// Rand draws the jitter of retries, uniform in [0,1). It is called from several goroutines at once. Default math/rand/v2.
	Rand func() float64
	// Now is the clock of the streams, by which messages are stored and timers fire; default time.Now. Local is the clock by which
	// deliveries are received; default Now.
	Now, Local func() time.Time
	// AfterFunc calls f when d has passed, unless stop is called before; default time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	Logger    *slog.Logger
	Meter     metric.Meter
	Tracer    trace.Tracer
}

func (c Config) withDefaults() Config {
	if c.Hold == 0 {
		c.Hold = 10 * time.Second
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.UnknownAge == 0 {
		c.UnknownAge = time.Minute
	}
	if c.AckWait == 0 {
		c.AckWait = 5 * time.Second
	}
	if c.Redelivering == nil {
		c.Redelivering = func() bool { return false }
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 16
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Local == nil {
		c.Local = c.Now
	}
	if c.AfterFunc == nil {
		c.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	if c.Tracer == nil {
		c.Tracer = tracenoop.Tracer{}
	}
	return c
}

// Validate returns an error for each missing or invalid value.
func (c Config) Validate() error {
	var errs []error
	if c.Node == "" {
		errs = append(errs, errors.New("node name is missing"))
	}
	if len(c.Plan.GetSteps()) == 0 {
		errs = append(errs, errors.New("plan has no steps"))
	}
	if c.UnknownAge < 0 || c.Timeout < 0 || c.AckWait < 0 {
		errs = append(errs, fmt.Errorf("negative duration: unknown age %s, timeout %s, ack wait %s", c.UnknownAge, c.Timeout, c.AckWait))
	}
	return errors.Join(errs...)
}
