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

// ledger records how each delivery ends and how often.
type ledger struct {
	mu    sync.Mutex
	ended map[*delivery.Delivery][]delivery.Outcome
}

func newLedger() *ledger { return &ledger{ended: make(map[*delivery.Delivery][]delivery.Outcome)} }

type line struct {
	ledger *ledger
	of     *delivery.Delivery
}

func (l line) Settle(o delivery.Outcome) {
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	l.ledger.ended[l.of] = append(l.ledger.ended[l.of], o)
}

func (l *ledger) delivery(id string, sequence uint64) *delivery.Delivery {
	d := &delivery.Delivery{OrderID: messages.OrderID(id), Stream: messages.StreamOrders, Sequence: sequence, Deliveries: 1}
	d.Settler = line{l, d}
	return d
}

func (l *ledger) want(t *testing.T, d *delivery.Delivery, want ...delivery.Outcome) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.ended[d]; !slices.Equal(got, want) {
		t.Fatalf("delivery %s/%d was settled as %v, want %v", d.OrderID, d.Sequence, got, want)
	}
}

// script is what an order actor does with a delivery or a give-up; life counts the actors that were produced, from 1.
type script func(ctx actor.Context, life int, message any)

func answer(ctx actor.Context, d *delivery.Delivery, o delivery.Outcome) {
	ctx.Send(ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: o})
}

// stage runs a script and writes down what reached which life of the actor, and when.
type stage struct {
	t      *testing.T
	tree   *supervision.Tree
	ledger *ledger
	begun  time.Time

	mu        sync.Mutex
	lives     int
	stops     int
	events    []string
	escalated []error
}

func newStage(t *testing.T, cfg supervision.Config, play script) *stage {
	t.Helper()
	s := &stage{t: t, ledger: newLedger(), begun: time.Now()}
	cfg.Shards = 1
	if cfg.Rand == nil {
		cfg.Rand = func() float64 { return 0.5 }
	}
	cfg.OnEscalation = func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.escalated = append(s.escalated, err)
	}
	tree, err := supervision.New(supervision.NewSystem(slog.New(slog.DiscardHandler)), func() actor.Actor {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lives++
		life := s.lives
		return actor.ReceiveFunc(func(ctx actor.Context) { s.receive(ctx, life, play) })
	}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.tree = tree
	t.Cleanup(tree.Stop)
	return s
}

func (s *stage) receive(ctx actor.Context, life int, play script) {
	switch m := ctx.Message().(type) {
	case *delivery.Delivery:
		s.note(fmt.Sprintf("%s life %d: %s/%d", time.Since(s.begun), life, m.OrderID, m.Sequence))
	case *delivery.GiveUp:
		s.note(fmt.Sprintf("%s life %d: give up, %v", time.Since(s.begun), life, m.Failure))
	case *actor.Stopped:
		s.mu.Lock()
		s.stops++
		s.mu.Unlock()
	}
	play(ctx, life, ctx.Message())
}

func (s *stage) note(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

// deliver hands over a delivery and waits until nothing moves.
func (s *stage) deliver(id string, sequence uint64) *delivery.Delivery {
	s.t.Helper()
	d := s.ledger.delivery(id, sequence)
	s.tree.Deliver(d)
	synctest.Wait()
	return d
}

func (s *stage) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *stage) wantEvents(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.events, want) {
		s.t.Fatalf("events:\n%q\nwant\n%q", s.events, want)
	}
}

// wantIdle asserts that every actor that was produced is stopped and no delivery is pending.
func (s *stage) wantIdle() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives != s.stops || s.tree.Pending() != 0 {
		s.t.Fatalf("%d actors were produced, %d are stopped, %d deliveries are pending; want all stopped, none pending",
			s.lives, s.stops, s.tree.Pending())
	}
}

func (s *stage) wantEscalations(n int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.escalated) != n {
		s.t.Fatalf("escalated %d times %v, want %d", len(s.escalated), s.escalated, n)
	}
}
