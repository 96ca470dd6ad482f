package ingress

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// answers returns a clock that saw one answer of a server whose clock is that far behind the node's, and its log.
func clockBehind(behind time.Duration) (*Clock, *bytes.Buffer) {
	var log bytes.Buffer
	c := &Clock{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	c.observe(now.Add(-behind), now.Add(-10*time.Millisecond), now.Add(10*time.Millisecond))
	return c, &log
}

func TestClockFollowsTheServer(t *testing.T) {
	for _, behind := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Minute, 10 * time.Minute, -10 * time.Minute} {
		c, log := clockBehind(behind)
		now := time.Now()
		if got := now.Sub(c.ServerTime(now)).Round(time.Millisecond); got != behind {
			t.Errorf("the server is %s behind, want %s", got, behind)
		}
		if got := c.Now().Add(behind).Sub(now); got < -time.Second || got > time.Minute {
			t.Errorf("now is %s off", got)
		}
		if got := c.Offset().Round(time.Millisecond); got != behind {
			t.Errorf("the offset is %s, want %s", got, behind)
		}
		if warned := strings.Contains(log.String(), "clock of this node differs"); warned != (behind.Abs() > time.Second) {
			t.Errorf("an offset of %s: %q", behind, log)
		}
		if err := c.CheckSweep(); (err != nil) != (behind.Abs() > time.Minute) {
			t.Errorf("an offset of %s: %v", behind, err)
		}
	}
}

// A slow answer says less than a fast one, and counts only when that is old. A warning is repeated after a while.
func TestClockPrefersFastAnswers(t *testing.T) {
	c, log := clockBehind(0)
	now := time.Now()
	c.observe(now.Add(5*time.Second), now, now.Add(10*time.Second))
	if got := c.Offset().Abs(); got > time.Second {
		t.Errorf("the slow answer counts: %s", got)
	}
	for range 3 {
		c.observe(now.Add(-time.Minute), now, now.Add(time.Millisecond))
	}
	if got := c.Offset().Round(time.Second); got != time.Minute || strings.Count(log.String(), "clock of this node differs") != 1 {
		t.Errorf("offset %s, log %s", got, log)
	}
	later := now.Add(warnInterval)
	c.observe(later, later, later.Add(10*time.Second))
	if got := c.Offset().Round(time.Second); got != 5*time.Second || strings.Count(log.String(), "clock of this node differs") != 2 {
		t.Errorf("offset %s, log %s", got, log)
	}
}

// A nil clock is the node's.
func TestNoClock(t *testing.T) {
	var c *Clock
	if now := time.Now(); !c.ServerTime(now).Equal(now) || c.CheckSweep() != nil || time.Since(c.Now()).Abs() > time.Minute {
		t.Error("another time")
	}
}
