package supervision_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcomes records how a delivery was settled. If panics is set, Settle panics, which crashes the shard supervisor.
type outcomes struct {
	mu     sync.Mutex
	all    []delivery.Outcome
	panics bool
}

func (o *outcomes) Settle(outcome delivery.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, outcome)
	if o.panics {
		panic("Settle panicked")
	}
}

// want checks that d was settled with exactly the outcomes.
func want(t *testing.T, d *delivery.Delivery, want ...delivery.Outcome) {
	t.Helper()
	o := d.Settler.(*outcomes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.all, want) {
		t.Fatalf("delivery %s/%d was settled as %v, want %v", d.OrderID, d.Sequence, o.all, want)
	}
}

// behavior is what the n-th order actor of a test, from 1, does with a message.
type behavior func(ctx actor.Context, n int, message any)

// onDelivery makes a behavior of what an actor does with a delivery.
func onDelivery(f func(ctx actor.Context, n int, d *delivery.Delivery)) behavior {
	return func(ctx actor.Context, n int, message any) {
		if d, ok := message.(*delivery.Delivery); ok {
			f(ctx, n, d)
		}
	}
}

func answer(ctx actor.Context, d *delivery.Delivery, o delivery.Outcome) {
	ctx.Send(ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: o})
}

// answerAfter answers Done from another goroutine, after a delay.
func answerAfter(ctx actor.Context, after time.Duration, d *delivery.Delivery) {
	parent, root := ctx.Parent(), ctx.ActorSystem().Root
	time.AfterFunc(after, func() { root.Send(parent, &delivery.Settled{Delivery: d, Outcome: delivery.Done()}) })
}

var done = onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) { answer(ctx, d, delivery.Done()) })

// fixture is a tree of one shard. It records which message reached which order actor, and when.
type fixture struct {
	*supervision.Tree
	t     *testing.T
	begun time.Time

	mu             sync.Mutex
	started, ended int
	events         []string
	escalated      []error
}

// start makes a fixture; without a Config.Rand every delay is half of its cap.
func start(t *testing.T, cfg supervision.Config, behave behavior) *fixture {
	t.Helper()
	f := &fixture{t: t, begun: time.Now()}
	cfg.Shards = 1
	cfg.Rand = func() float64 { return 0.5 }
	cfg.OnEscalation = func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.escalated = append(f.escalated, err)
	}
	tree, err := supervision.New(newSystem(), func() actor.Actor {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.started++
		n := f.started
		return actor.ReceiveFunc(func(ctx actor.Context) {
			f.record(n, ctx.Message())
			behave(ctx, n, ctx.Message())
		})
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Tree = tree
	t.Cleanup(func() {
		tree.Stop()
		time.Sleep(time.Second) // The actor system's goroutines that count messages to stopped actors end.
	})
	return f
}

func (f *fixture) record(n int, message any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	event := fmt.Sprintf("%s actor %d: ", time.Since(f.begun), n)
	switch m := message.(type) {
	case *delivery.Delivery:
		f.events = append(f.events, event+fmt.Sprintf("%s/%d", m.OrderID, m.Sequence))
	case *delivery.GiveUp:
		f.events = append(f.events, event+"give up, "+m.Failure.Error())
	case *actor.Stopped:
		f.ended++
	}
}

func newSystem() *actor.ActorSystem { return supervision.NewSystem(slog.New(slog.DiscardHandler)) }

func newDelivery(id string, sequence uint64) *delivery.Delivery {
	return &delivery.Delivery{OrderID: messages.OrderID(id), Sequence: sequence, Settler: &outcomes{}}
}

// deliver delivers a message and waits until all goroutines are idle.
func (f *fixture) deliver(id string, sequence uint64) *delivery.Delivery {
	d := newDelivery(id, sequence)
	f.Deliver(d)
	synctest.Wait()
	return d
}

// crash makes the shard supervisor panic while it settles a delivery of the order "crash", which done must answer.
func (f *fixture) crash() *delivery.Delivery {
	d := newDelivery("crash", 1)
	d.Settler = &outcomes{panics: true}
	f.Deliver(d)
	synctest.Wait()
	return d
}

// addedWorker is longer than the dispatcher needs to add a worker for one that sleeps.
const addedWorker = 100 * time.Millisecond

func (f *fixture) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *fixture) wantEvents(want ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.events, want) {
		f.t.Fatalf("events:\n%q\nwant\n%q", f.events, want)
	}
}

// wantIdle checks that every order actor has stopped and no delivery is pending.
func (f *fixture) wantIdle() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started != f.ended || f.Pending() != 0 {
		f.t.Fatalf("%d actors started, %d stopped, %d deliveries pending; want all stopped, none pending", f.started, f.ended, f.Pending())
	}
}

func (f *fixture) wantEscalations(n int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.escalated) != n {
		f.t.Fatalf("escalated %d times %v, want %d", len(f.escalated), f.escalated, n)
	}
}
