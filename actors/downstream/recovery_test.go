package downstream_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
)

// recovery is an outage of a minute during which orders park, and the return of these orders. The service replies after
// 100 ms; calls beyond its capacity fail.
type recovery struct {
	name     string
	before   int           // calls per second before the outage; 0: the throughput is unknown
	parked   int           // orders published in the first second of the outage
	fresh    int           // orders published per second after it
	capacity int           // calls per second that the service takes after it
	crashes  bool          // a call beyond the capacity makes every call fail for five seconds
	sheds    bool          // a call beyond the capacity fails at once and takes no room
	relapses int           // number of further outages of ten seconds
	up       time.Duration // time between the outages

	// Bounds: from the last end of the outage until all parked orders are done, and failures that cost an order an attempt.
	within   time.Duration
	failures int
}

// TestRecovery measures slow start: go test ./actors/downstream -run TestRecovery -v prints the figures of the package
// documentation.
func TestRecovery(t *testing.T) {
	for _, r := range []recovery{
		{name: "room for all", before: 200, parked: 4000, fresh: 200, capacity: 600, within: 75 * time.Second},
		{name: "long queue", before: 200, parked: 12000, fresh: 200, capacity: 600, within: 95 * time.Second},
		{name: "little room, crashes", before: 200, parked: 4000, fresh: 50, capacity: 300, crashes: true, within: 75 * time.Second, failures: 100},
		{name: "degraded", before: 200, parked: 4000, capacity: 60, within: 200 * time.Second, failures: 250},
		{name: "degraded, crashes", before: 200, parked: 4000, capacity: 60, crashes: true, within: 240 * time.Second, failures: 150},
		{name: "degraded, sheds", before: 200, parked: 4000, capacity: 60, sheds: true, within: 120 * time.Second, failures: 500},
		{name: "unknown service", parked: 4000, capacity: 5000, within: 80 * time.Second},
		{name: "faster than known", before: 20, parked: 20000, capacity: 5000, within: 150 * time.Second},
		{name: "4 relapses after 4s", before: 200, parked: 4000, capacity: 600, relapses: 4, up: 4 * time.Second, within: 75 * time.Second},
		{name: "4 relapses after 1.5s", before: 200, parked: 4000, capacity: 600, relapses: 4, up: 1500 * time.Millisecond, within: 95 * time.Second},
		{name: "4 relapses after 2.5s, unknown", parked: 4000, capacity: 5000, relapses: 4, up: 2500 * time.Millisecond, within: 90 * time.Second},
		{name: "8 relapses after 2.5s, no new orders", before: 200, parked: 8000, capacity: 600, relapses: 8, up: 2500 * time.Millisecond, within: 95 * time.Second},
		{name: "12 relapses after 6s, no new orders", before: 200, parked: 4000, capacity: 600, relapses: 12, up: 6 * time.Second, within: time.Minute},
		{name: "4 relapses after 20s, no new orders", before: 10, parked: 12_000, capacity: 5000, relapses: 4, up: 20 * time.Second, within: 90 * time.Second},
		{name: "100,000, 12 relapses after 6s", before: 200, parked: 100_000, capacity: 5000, relapses: 12, up: 6 * time.Second, within: 200 * time.Second},
		{name: "100,000, 4 relapses after 1.5s, unknown", parked: 100_000, capacity: 5000, relapses: 4, up: 1500 * time.Millisecond, within: 200 * time.Second},
	} {
		t.Run(r.name, func(t *testing.T) { synctest.Test(t, r.run) })
	}
}

func (r recovery) run(t *testing.T) {
	const latency = 100 * time.Millisecond
	s := &crashingService{fakeService: fakeService{latency: latency}}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	parked, others := &orderFlow{guard: g}, &orderFlow{guard: g}
	count := func(is func(result) bool) int { return parked.results.count(is) + others.results.count(is) }
	if r.before > 0 {
		others.arrive("before", r.before, 10*time.Second)
	}
	s.setError(errUnreachable)
	s.behave(func() { s.capacity = r.capacity / int(time.Second/latency) })
	parked.arrive("parked", r.parked, time.Second)
	time.Sleep(time.Minute)
	for range r.relapses {
		before := count(succeeded)
		s.setError(nil)
		for count(succeeded) == before {
			time.Sleep(latency)
		}
		time.Sleep(r.up)
		s.setError(errUnreachable)
		time.Sleep(10 * time.Second)
	}
	s.behave(func() { s.crashes, s.sheds = r.crashes, r.sheds })
	s.setError(nil)
	back, failures := time.Now(), count(failed)
	for i := 0; parked.results.count(succeeded) < r.parked && time.Since(back) < 10*time.Minute; i++ {
		if r.fresh > 0 {
			others.arrive(fmt.Sprintf("fresh-%d", i), r.fresh, time.Second)
		} else {
			time.Sleep(time.Second)
		}
	}
	took := time.Since(back)
	failures = count(failed) - failures
	_, parks := parked.parked()
	returns := parked.maxReturns()
	t.Logf("%.0f s until all are done, %d failures, at most %d parks of one order and %d returns in a second", took.Seconds(), failures, parks, returns)
	if took > r.within || failures > r.failures || returns > 2000 {
		t.Errorf("%s, %d failures and %d returns in a second, want at most %s, %d and 2000", took, failures, returns, r.within, r.failures)
	}
	time.Sleep(5 * time.Minute)
}

// crashingService is a service that a call beyond its capacity can bring down, or that refuses such calls at once.
type crashingService struct {
	fakeService
	crashes, sheds bool
}

// behave changes how the service answers, while calls may be in flight.
func (s *crashingService) behave(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *crashingService) Do(c *gateway.Call, done gateway.Done) {
	s.mu.Lock()
	full, sheds := s.err == nil && s.inFlight >= s.capacity, s.sheds
	if s.crashes && full {
		s.err = errTimeout
		time.AfterFunc(5*time.Second, func() { s.setError(nil) })
	}
	s.mu.Unlock()
	if sheds && full {
		time.AfterFunc(time.Millisecond, func() { done(nil, errTimeout) })
		return
	}
	s.fakeService.Do(c, done)
}
