package supervision

import (
	"context"
	"log/slog"
	"strconv"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// BenchmarkOrder delivers a message to an order, whose actor is spawned, handles some more messages, as it does for each
// append and call, answers and is stopped. Each variant replaces a part of this package by the library's own. Compare
// cpu-ns/op and allocs/op: the time depends on what else the machine does.
func BenchmarkOrder(b *testing.B) {
	for _, variant := range []struct {
		name    string
		system  func() *actor.ActorSystem
		options []actor.PropsOption
	}{
		{name: "ours"},
		{name: "dispatcher=library", options: []actor.PropsOption{actor.WithDispatcher(actor.NewDefaultDispatcher(300))}},
		{name: "guard=middleware", options: []actor.PropsOption{actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) { next(ctx, envelope) }
		})}},
		{name: "metrics=library", system: meteredSystem},
	} {
		for _, inFlight := range []int{1, 64, 4096} {
			b.Run(variant.name+"/inflight="+strconv.Itoa(inFlight), func(b *testing.B) {
				system := NewSystem(slog.New(slog.DiscardHandler))
				if variant.system != nil {
					system = variant.system()
				}
				benchmarkOrder(b, system, inFlight, variant.options)
			})
		}
	}
}

// meteredSystem has the library's metrics.
func meteredSystem() *actor.ActorSystem {
	return actor.NewActorSystem(func(c *actor.Config) {
		c.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
		c.DeadLetterThrottleInterval = deadLetterInterval
		c.MetricsProvider, c.MetricsEnabled = sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())), true
	})
}

// busyOrder sends itself messages before it answers a delivery.
type busyOrder struct{ left int }

func (o *busyOrder) Receive(ctx actor.Context) {
	if d, ok := ctx.Message().(*delivery.Delivery); ok {
		if o.left--; o.left > 0 {
			ctx.ActorSystem().Root.Send(ctx.Self(), d)
		} else {
			ctx.Send(ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: delivery.Done()})
		}
	}
}

// room bounds the deliveries in flight.
type room chan struct{}

func (r room) Settle(delivery.Outcome) { <-r }

func benchmarkOrder(b *testing.B, system *actor.ActorSystem, inFlight int, options []actor.PropsOption) {
	tree, err := newTree(system, func() actor.Actor { return &busyOrder{6} }, Config{}, options...)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Stop()
	room := make(room, inFlight)
	deliveries := make([]delivery.Delivery, b.N)
	for i := range deliveries {
		deliveries[i] = delivery.Delivery{OrderID: messages.OrderID("order-" + strconv.Itoa(i)), Settler: room}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for i := range deliveries {
		room <- struct{}{}
		tree.Deliver(&deliveries[i])
	}
	if err := tree.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is the user and system time of this process, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
