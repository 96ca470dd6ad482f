package crash_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/crashpoint"
)

const (
	// portion is how many orders are added at a time until the victim reaches its point.
	portion = 40
	// portionTime is how long one portion is given.
	portionTime = 500 * time.Millisecond
	// reachLimit bounds the way to a point.
	reachLimit = 30 * time.Second
)

// Nodes die at each arrow of the flow, with the NATS they carry, or without: then what they sent before they died
// arrives.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		dieAtPoints(t, newWorld(t, seed(t)))
	})
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		dieAtPoints(t, newSharedWorld(t, seed(t)))
	})
}

// dieAtPoints fails for each point that is never reached.
func dieAtPoints(t *testing.T, w *world) {
	w.load.signals = true
	behavior := unreliable
	behavior.Pending, behavior.Finish = 0.1, 100*time.Millisecond
	w.kill(w.open(behavior))
	for _, point := range crashpoint.All {
		for _, pass := range []int{1, w.laterPass(point)} {
			w.dieAt(point, pass)
		}
	}
	w.start().mustBeReady()
	w.finish()
}

// laterPass is some pass after the first, within what a portion or two bring about.
func (w *world) laterPass(point crashpoint.Point) int {
	switch point {
	case crashpoint.HalfBatch, crashpoint.BeforeDeadLetter, crashpoint.AfterDeadLetter, crashpoint.BeforeSchedule, crashpoint.AfterSchedule:
		return 2 + w.rng.IntN(4)
	}
	return 2 + w.rng.IntN(40)
}

// dieAt starts a node that dies at the given pass of the point, and adds orders until it does.
func (w *world) dieAt(point crashpoint.Point, pass int) {
	w.Helper()
	p := w.start(crashAt(point, strconv.Itoa(pass)))
	w.disturbances++
	for deadline := time.Now().Add(reachLimit); time.Now().Before(deadline); {
		w.load.add(portion)
		select {
		case <-p.exited:
			if !p.killed() {
				w.Fatalf("%s was to die at %s:%d and ended otherwise: %v\n%s", p.id, point, pass, p.err, p.tail())
			}
			return
		case <-time.After(portionTime):
		}
	}
	w.Errorf("point %s:%d was not reached within %s", point, pass, reachLimit)
	p.kill()
}
