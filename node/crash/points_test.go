package crash_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/crashpoint"
)

const (
	// portion is how many orders are added at a time until the victim reaches its point.
	portion = 16
	// portionTime is how long one portion is given.
	portionTime = 300 * time.Millisecond
	// linger is how long a node may stand at its point, so that what it sent before arrives.
	linger = 25 * time.Millisecond
	// reachLimit bounds the way to a point.
	reachLimit = 30 * time.Second
	// together is how many points have one world: nodes die three times at each, and an order must not see more
	// deaths than a person would have to look into.
	together = 5
)

// Nodes die at each arrow of the flow, with the NATS they carry, or without: then what they sent before they died
// arrives.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	for points := range slices.Chunk(crashpoint.All, together) {
		name := string(points[0]) + " to " + string(points[len(points)-1])
		t.Run("embedded/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(t, newWorld(t, seed(t), impatient, parking), points)
		})
		t.Run("shared/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(t, newSharedWorld(t, seed(t), impatient, parking), points)
		})
	}
}

// dieAtPoints fails for each point that is never reached.
func dieAtPoints(t *testing.T, w *world, points []crashpoint.Point) {
	w.load.signals = true
	behavior := unreliable
	behavior.Pending, behavior.Finish = 0.1, 100*time.Millisecond
	w.kill(w.open(behavior))
	for _, point := range points {
		w.dieAt(point, 1, 0)
		w.dieAt(point, w.laterPass(point), 0)
		w.dieAt(point, w.laterPass(point), linger)
	}
	w.start().mustBeReady()
	w.finish()
}

// laterPass is some pass after the first, within what a portion or two bring about.
func (w *world) laterPass(point crashpoint.Point) int {
	switch point {
	case crashpoint.HalfBatch, crashpoint.BeforeDeadLetter, crashpoint.AfterDeadLetter, crashpoint.BeforeSchedule, crashpoint.AfterSchedule:
		return 2 + w.rng.IntN(2)
	}
	return 2 + w.rng.IntN(20)
}

// dieAt starts a node that dies at the given pass of the point, and adds orders until it does.
func (w *world) dieAt(point crashpoint.Point, pass int, linger time.Duration) {
	w.Helper()
	p := w.start(fmt.Sprintf("CRASH_AT=%s:%d:%s", point, pass, linger))
	w.disturbances++
	began := time.Now()
	defer func() { w.Logf("%-20s pass %2d after %s", point, pass, time.Since(began).Round(time.Millisecond)) }()
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
