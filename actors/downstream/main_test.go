package downstream_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errAway    = &delivery.Failure{Kind: messages.Transient, Err: fmt.Errorf("call nats://stock.take: %w", nats.ErrNoResponders)}
	errSilent  = &delivery.Failure{Kind: messages.Transient, Err: errors.New("nats://stock.take did not answer within 2s")}
	errInvalid = &delivery.Failure{Kind: messages.Poison, Err: errors.New("the request is too large")}
)

// service is the steps behind a guard: each call takes latency and ends as err says.
type service struct {
	mu       sync.Mutex
	latency  time.Duration
	err      error
	reply    *messages.StepReply
	calls    []time.Time
	under    int
	most     int
	capacity int // calls under way beyond it fail; 0: any number
}

func (s *service) Do(_ *gateway.Call, done gateway.Done) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	s.under++
	s.most = max(s.most, s.under)
	latency, err, reply := s.latency, s.err, s.reply
	if s.capacity > 0 && s.under > s.capacity {
		err = errSilent
	}
	s.mu.Unlock()
	end := func() {
		s.mu.Lock()
		s.under--
		s.mu.Unlock()
		if err != nil {
			done(nil, err)
			return
		}
		done(reply, nil)
	}
	if latency == 0 {
		end()
		return
	}
	time.AfterFunc(latency, end)
}

func (s *service) becomes(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *service) takes(latency time.Duration) {
	s.mu.Lock()
	s.latency = latency
	s.mu.Unlock()
}

// counts are the calls so far, those under way, and the most that were under way at once.
func (s *service) counts() (calls, under, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls), s.under, s.most
}

// starts are the times of the calls.
func (s *service) starts() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// called counts the calls in the span that ends now.
func (s *service) called(within time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.calls {
		if time.Since(at) < within {
			n++
		}
	}
	return n
}

func planOf(limits *messages.Limits) *messages.Plan {
	return &messages.Plan{Name: "p", Version: 1, Steps: []*messages.Step{{
		Name: "take", Do: "nats://stock.take", Undo: "nats://stock.give", Limits: limits, Timeout: durationpb.New(2 * time.Second),
	}}}
}

// seed of the jitter in tests: -seed tries others.
var seed = flag.Uint64("seed", 1, "seed of the jitter")

func draws() func() float64 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(*seed, 0))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
}

// newGuard is to be closed within the test's bubble.
func newGuard(t testing.TB, s downstream.Steps, limits *messages.Limits, cfg downstream.Config) *downstream.Guard {
	t.Helper()
	cfg.Rand = draws()
	g, err := downstream.New(s, planOf(limits), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func call(order string, limits *messages.Limits, d messages.Direction) *gateway.Call {
	return &gateway.Call{
		Step: planOf(limits).Steps[0], Direction: d, Request: &messages.StepRequest{OrderId: order, Step: "take", Attempt: 1},
	}
}

// result of a call.
type result struct {
	at    time.Time
	reply *messages.StepReply
	err   error
}

// deferral is nil for a call that was not put off.
func (r result) deferral() *delivery.Deferral {
	var f *delivery.Failure
	if errors.As(r.err, &f) {
		return f.Deferral
	}
	return nil
}

// results of calls under way.
type results struct {
	mu  sync.Mutex
	all []result
}

func (r *results) take(reply *messages.StepReply, err error) {
	r.mu.Lock()
	r.all = append(r.all, result{time.Now(), reply, err})
	r.mu.Unlock()
}

// soFar are the results that are there.
func (r *results) soFar() []result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *results) count(is func(result) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if is(one) {
			n++
		}
	}
	return n
}

func done(r result) bool   { return r.err == nil }
func putOff(r result) bool { return r.deferral() != nil }
func failed(r result) bool { return r.err != nil && r.deferral() == nil }

// ask makes a call whose answer comes at once.
func ask(t testing.TB, g *downstream.Guard, order string, limits *messages.Limits) result {
	t.Helper()
	return askFor(t, g, call(order, limits, messages.Do))
}

func askFor(t testing.TB, g *downstream.Guard, c *gateway.Call) result {
	t.Helper()
	var r results
	g.Do(c, r.take)
	if len(r.all) != 1 {
		t.Fatalf("%d answers at once, want 1", len(r.all))
	}
	return r.all[0]
}
