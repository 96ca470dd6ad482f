package health_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/messages/health"
)

var errFull = errors.New("no space left on device")

func TestCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m health.Monitor
		journal, timers := m.Check("journal", 0), m.Check("timers", 2*time.Second)
		want := func(text string) {
			t.Helper()
			got := ""
			if err := m.Err(); err != nil {
				got = err.Error()
			}
			if got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
		want("")
		journal.OK()
		journal.Fail(errFull)
		want("journal: no space left on device")
		timers.Fail(errFull)
		want("journal: no space left on device") // timers within their grace
		time.Sleep(2 * time.Second)
		want("journal: no space left on device; timers: no space left on device")
		journal.OK()
		want("timers: no space left on device")
		time.Sleep(health.Renewal)
		want("") // not renewed
		timers.Fail(errFull)
		want("") // a new failure has a new grace
		time.Sleep(20 * time.Second)
		timers.Fail(errFull)
		time.Sleep(20 * time.Second)
		want("timers: no space left on device") // renewed
		timers.OK()
		want("")
	})
}

func TestNoMonitor(*testing.T) {
	var c *health.Check
	c.OK()
	c.Fail(errFull)
}

func TestConcurrentReports(t *testing.T) {
	t.Parallel()
	var m health.Monitor
	c := m.Check("journal", 0)
	var reports sync.WaitGroup
	for range 8 {
		reports.Go(func() {
			for range 1000 {
				c.Fail(errFull)
				c.OK()
				_ = m.Err()
			}
		})
	}
	reports.Wait()
	if err := m.Err(); err != nil {
		t.Error(err)
	}
}
