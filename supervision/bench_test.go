package supervision_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

type immediate struct{}

func (immediate) Receive(ctx actor.Context) {
	if d, ok := ctx.Message().(*delivery.Delivery); ok {
		ctx.Send(ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: delivery.Done()})
	}
}

type tokens chan struct{}

func (t tokens) Settle(delivery.Outcome) { <-t }

// BenchmarkOrder is deliver → the actor is spawned → it answers done → settled → the actor is stopped, with as many
// orders in flight as a node has under load.
func BenchmarkOrder(b *testing.B) {
	for _, inFlight := range []int{1, 64, 4096} {
		b.Run("inflight="+strconv.Itoa(inFlight), func(b *testing.B) {
			tree, err := supervision.New(supervision.NewSystem(slog.New(slog.DiscardHandler)), func() actor.Actor { return immediate{} }, supervision.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer tree.Stop()
			room := make(tokens, inFlight)
			deliveries := make([]delivery.Delivery, b.N)
			for i := range deliveries {
				deliveries[i] = delivery.Delivery{OrderID: messages.OrderID("order-" + strconv.Itoa(i)), Settler: room}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range deliveries {
				room <- struct{}{}
				tree.Deliver(&deliveries[i])
			}
			if err := tree.Drain(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
		})
	}
}

// BenchmarkBare is the same on protoactor alone: a parent that spawns a child for each message, hears its answer and
// stops it. The difference to BenchmarkOrder is what this package costs.
func BenchmarkBare(b *testing.B) {
	sys := supervision.NewSystem(slog.New(slog.DiscardHandler))
	room := make(tokens, 4096)
	var stopped atomic.Int64
	done := make(chan struct{})
	child := actor.PropsFromProducer(func() actor.Actor { return immediate{} })
	parents := make([]*actor.PID, 4)
	for i := range parents {
		parents[i] = sys.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			children := map[messages.OrderID]*actor.PID{}
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case *delivery.Delivery:
					pid := ctx.Spawn(child)
					children[m.OrderID] = pid
					ctx.Send(pid, m)
				case *delivery.Settled:
					ctx.Stop(children[m.Delivery.OrderID])
					delete(children, m.Delivery.OrderID)
					<-room
				case *actor.Terminated:
					if stopped.Add(1) == int64(b.N) {
						close(done)
					}
				}
			})
		}))
	}
	deliveries := make([]delivery.Delivery, b.N)
	for i := range deliveries {
		deliveries[i] = delivery.Delivery{OrderID: messages.OrderID("order-" + strconv.Itoa(i))}
	}
	b.ReportAllocs()
	b.ResetTimer()
	stopped.Store(0)
	done = make(chan struct{})
	for i := range deliveries {
		room <- struct{}{}
		sys.Root.Send(parents[i%len(parents)], &deliveries[i])
	}
	<-done
	b.StopTimer()
	for _, p := range parents {
		_ = sys.Root.StopFuture(p).Wait()
	}
}
