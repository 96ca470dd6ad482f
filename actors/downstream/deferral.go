package downstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// out puts a call off because the circuit is not closed. cause is what the last failure said, atLeast how long its own
// answer asked to wait.
func (g *gate) out(now time.Time, cause error, atLeast time.Duration) error {
	from := now.Add(atLeast)
	if g.circuit.reopen.After(from) {
		from = g.circuit.reopen
	}
	spread := float64(spreadAt(now.Sub(g.circuit.since)))
	until := g.slot(now, from, wakesPerSecond).Add(time.Duration(g.guard.cfg.Rand() * spread))
	reason := g.name + " is out (circuit open)"
	if cause != nil {
		reason += ": " + words(cause)
	}
	return g.deferral(outage, reason, until)
}

// spreadAt is the jitter of parks when an outage has lasted for age.
func spreadAt(age time.Duration) time.Duration {
	return max(min(max(age, minSpread), maxSpread), min(age/longPatience, longSpread))
}

// recovering puts a call off because the downstream has just come back, until the pace is likely to have a place for it.
func (g *gate) recovering(now time.Time) error {
	// Half of the room is for those that come for the first time; what the pace allows within rampWait is taken.
	until := g.slot(now, now.Add(rampWait), min(g.ramp.at(g.wakes)/2, wakesPerSecond))
	reason := fmt.Sprintf("%s was out and is met again at a growing pace, now %.0f calls per second", g.name, g.ramp.pace)
	return g.deferral(outage, reason, until)
}

// busy puts a call off because a limit leaves no room for it within the hold.
func (g *gate) busy(now time.Time, limit string, perSecond float64) error {
	first := now.Add(g.guard.cfg.Hold)
	if g.room.Before(first) {
		g.room = first
	}
	g.room = g.room.Add(time.Duration(float64(time.Second) / perSecond))
	if latest := first.Add(maxBusy); g.room.After(latest) {
		g.room = latest
	}
	until := g.room
	if until.Sub(first) >= maxBusy {
		// Too many to give each a place of its own.
		until = until.Add(-time.Duration(g.guard.cfg.Rand() * float64(maxBusy/2)))
	}
	return g.deferral(full, g.name+" has no room ("+limit+")", until)
}

// slot is the next place for a parked order to come back, not before from: so many per second and no more.
func (g *gate) slot(now, from time.Time, perSecond float64) time.Time {
	if g.wakes.Before(now) {
		g.wakes = now
	}
	g.wakes = g.wakes.Add(time.Duration(float64(time.Second) / perSecond))
	if g.wakes.After(from) {
		return g.wakes
	}
	return from
}

func (g *gate) deferral(why cause, reason string, until time.Time) error {
	if why == outage && until.After(g.horizon) {
		g.horizon = until
	}
	g.guard.instr.deferred(g, why)
	return &delivery.Failure{
		Kind:     messages.Transient,
		Err:      errors.New(reason),
		Deferral: &delivery.Deferral{Reason: reason, Until: until},
	}
}

// words is what an error says, without the word for its kind.
func words(err error) string {
	var f *delivery.Failure
	if errors.As(err, &f) && f.Err != nil {
		return f.Err.Error()
	}
	return err.Error()
}
