package supervision

import (
	"strconv"
	"testing"
	"time"
)

func TestWindowForgetsWhatIsOld(t *testing.T) {
	var w window
	b := Budget{Count: 2, Within: time.Minute}
	start := time.Now()
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {10 * time.Second, true}, {20 * time.Second, false}, {30 * time.Second, false},
		{81 * time.Second, true}, {91 * time.Second, true}, {92 * time.Second, false},
	} {
		if got := w.spend(b, start.Add(c.at)); got != c.want {
			t.Fatalf("event %d at %s: within budget is %v, want %v", i, c.at, got, c.want)
		}
	}
	w.reset()
	if !w.spend(b, start) {
		t.Fatal("a window that was reset is empty")
	}
}

func TestWindowStaysSmall(t *testing.T) {
	var w window
	for i := range 10_000 {
		w.spend(Budget{Count: 3, Within: time.Hour}, time.Unix(int64(i), 0))
	}
	if len(w.times) > 4 || cap(w.times) > 64 {
		t.Fatalf("the window keeps %d times in room for %d", len(w.times), cap(w.times))
	}
}

func TestRollCountsANameOnce(t *testing.T) {
	var r roll
	b := Budget{Count: 2, Within: time.Minute}
	start := time.Now()
	for i := range 10 {
		if !r.spend(b, strconv.Itoa(i%2), start) {
			t.Fatalf("event %d of two names exceeds a budget of two", i)
		}
	}
	if r.spend(b, "a third", start) {
		t.Fatal("a third name is within a budget of two")
	}
	if !r.spend(b, "a fourth", start.Add(time.Minute)) {
		t.Fatal("names of the past count")
	}
}

func TestOutageBeginsAnewAfterASilence(t *testing.T) {
	var o outage
	start := time.Now()
	for i, c := range []struct{ at, want time.Duration }{
		{0, 0}, {10 * time.Second, 10 * time.Second}, {40 * time.Second, 40 * time.Second}, {3 * time.Minute, 0}, {200 * time.Second, 20 * time.Second},
	} {
		if got := o.failed(start.Add(c.at), time.Minute); got != c.want {
			t.Fatalf("failure %d: the outage lasts %s, want %s", i, got, c.want)
		}
	}
	o.over()
	if got := o.failed(start.Add(time.Hour), time.Hour); got != 0 {
		t.Fatalf("an outage that is over lasts %s", got)
	}
}
