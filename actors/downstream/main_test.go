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
	errUnreachable = &delivery.Failure{Kind: messages.Transient, Err: fmt.Errorf("call nats://stock.take: %w", nats.ErrNoResponders)}
	errTimeout     = &delivery.Failure{Kind: messages.Transient, Err: errors.New("nats://stock.take did not answer within 2s")}
	errInvalid     = &delivery.Failure{Kind: messages.Poison, Err: errors.New("the request is too large")}
)

// fakeService takes latency for each call and ends it with reply or err.
type fakeService struct {
	mu          sync.Mutex
	latency     time.Duration
	err         error
	reply       *messages.StepReply
	calls       []time.Time
	inFlight    int
	maxInFlight int
	capacity    int // more calls in flight fail; 0: no limit
}

func (s *fakeService) Do(_ *gateway.Call, done gateway.Done) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	s.inFlight++
	s.maxInFlight = max(s.maxInFlight, s.inFlight)
	latency, err, reply := s.latency, s.err, s.reply
	if s.capacity > 0 && s.inFlight > s.capacity {
		err = errTimeout
	}
	s.mu.Unlock()
	end := func() {
		s.mu.Lock()
		s.inFlight--
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

func (s *fakeService) setError(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *fakeService) setLatency(latency time.Duration) {
	s.mu.Lock()
	s.latency = latency
	s.mu.Unlock()
}

// counts returns the calls so far, those in flight, and the most that were in flight at once.
func (s *fakeService) counts() (calls, under, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls), s.inFlight, s.maxInFlight
}

// startTimes returns when each call was made.
func (s *fakeService) startTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// calledWithin counts the calls within the time that ends now.
func (s *fakeService) calledWithin(within time.Duration) (n int) {
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

// seed of all random draws.
var seed = flag.Uint64("seed", 1, "seed of the jitter")

func newRand() func() float64 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(*seed, 0))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
}

// newGuard returns a Guard; close it within the synctest bubble.
func newGuard(t testing.TB, s downstream.Steps, limits *messages.Limits, cfg downstream.Config) *downstream.Guard {
	t.Helper()
	cfg.Rand = newRand()
	g, err := downstream.New(s, planOf(limits), nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func call(order string, limits *messages.Limits, d messages.Direction) *gateway.Call {
	return &gateway.Call{
		Step: planOf(limits).Steps[0], Direction: d, Attempt: 1,
		Request: &messages.StepRequest{OrderId: order, Step: "take"},
	}
}

// result is the end of a call.
type result struct {
	at    time.Time
	reply *messages.StepReply
	err   error
}

// deferral returns nil unless the call was deferred.
func (r result) deferral() *delivery.Deferral {
	var f *delivery.Failure
	if errors.As(r.err, &f) {
		return f.Deferral
	}
	return nil
}

// results collects the ends of calls.
type results struct {
	mu  sync.Mutex
	all []result
}

func (r *results) add(reply *messages.StepReply, err error) {
	r.mu.Lock()
	r.all = append(r.all, result{time.Now(), reply, err})
	r.mu.Unlock()
}

// list returns the results so far.
func (r *results) list() []result {
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

func succeeded(r result) bool { return r.err == nil }
func deferred(r result) bool  { return r.deferral() != nil }
func failed(r result) bool    { return r.err != nil && r.deferral() == nil }

// callStep makes a call that ends at once.
func callStep(t testing.TB, g *downstream.Guard, order string, limits *messages.Limits) result {
	t.Helper()
	return callAndWait(t, g, call(order, limits, messages.Do))
}

func callAndWait(t testing.TB, g *downstream.Guard, c *gateway.Call) result {
	t.Helper()
	var r results
	g.Do(c, r.add)
	if len(r.all) != 1 {
		t.Fatalf("%d ends at once, want 1", len(r.all))
	}
	return r.all[0]
}
