package downstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// deferFailed parks an order whose call failed because of the downstream. What the call may have done stays in doubt.
func (l *serviceLimiter) deferFailed(now time.Time, cause error) error {
	var d *delivery.Failure
	if l.circuit.closed() {
		d = l.deferSetup(now, cause)
	} else {
		d = l.deferOutage(now, cause, retryAfter(cause))
	}
	var f *delivery.Failure
	d.InDoubt = errors.As(cause, &f) && f.InDoubt
	return d
}

// deferSetup parks an order that met a fault of the set-up while the circuit is closed.
func (l *serviceLimiter) deferSetup(now time.Time, cause error) *delivery.Failure {
	jitter := time.Duration(l.guard.cfg.Rand() * float64(minDelay))
	until := l.returnTime(now, now.Add(max(minDelay, retryAfter(cause))+jitter))
	return l.deferral(setup, l.unavailable(cause), until)
}

// deferOutage parks an order because the circuit is not closed. cause is the failure of the downstream, atLeast the wait
// that its own reply asked for.
func (l *serviceLimiter) deferOutage(now time.Time, cause error, atLeast time.Duration) *delivery.Failure {
	from := now.Add(atLeast)
	if l.circuit.nextTrial.After(from) {
		from = l.circuit.nextTrial
	}
	jitter := time.Duration(l.guard.cfg.Rand() * float64(spread(now.Sub(l.circuit.outageStart))))
	until := l.returnTime(now, from.Add(jitter))
	why := outage
	if isSetup(cause) {
		why = setup
	}
	return l.deferral(why, l.unavailable(cause), until)
}

// unavailable is the reason for a park by a failure of the downstream.
func (l *serviceLimiter) unavailable(cause error) string {
	state := "circuit open"
	if isSetup(cause) {
		state = setupText
	}
	return fmt.Sprintf("%s is unavailable (%s): %s", l.name, state, errorText(cause))
}

// setupText names a fault of the set-up in reasons and logs.
const setupText = "fault of the set-up"

// spread is the range of the jitter: the age of the outage, up to 45 seconds; after 7.5 minutes a tenth of the age, up to
// half an hour. Every park adds two entries to the history of an order, which is read with each.
func spread(age time.Duration) time.Duration {
	return max(min(max(age, minDelay), maxSpread), min(age/10, maxLongSpread))
}

// deferSlowStart parks an order until slow start is likely to have a permit for it, for about maxSlowStartPark at most: the
// rate may grow faster than predicted, and a timer that is set stays.
func (l *serviceLimiter) deferSlowStart(now time.Time) *delivery.Failure {
	if first := now.Add(maxSlowStartWait); l.lastSlowReturn.Before(first) {
		l.lastSlowReturn = first
	}
	l.lastSlowReturn = l.lastSlowReturn.Add(interval(l.slowStart.rateAt(l.lastSlowReturn)))
	until := l.lastSlowReturn
	if latest := now.Add(maxSlowStartPark); until.After(latest) {
		l.lastSlowReturn = latest
		until = latest.Add(-time.Duration(l.guard.cfg.Rand() * float64(maxSlowStartPark/2)))
	}
	until = l.returnTime(now, until)
	return l.deferral(outage, fmt.Sprintf("%s is recovering (slow start, now %.0f calls per second)", l.name, l.slowStart.rate), until)
}

// deferBusy parks an order because a limit has no permit for it within the hold. Orders return at the rate perSecond, and at
// random times once there are too many for that.
func (l *serviceLimiter) deferBusy(now time.Time, limit string, perSecond float64) *delivery.Failure {
	first := now.Add(l.guard.cfg.Hold)
	if l.lastBusyReturn.Before(first) {
		l.lastBusyReturn = first
	}
	l.lastBusyReturn = l.lastBusyReturn.Add(interval(perSecond))
	until := l.lastBusyReturn
	if latest := first.Add(maxSpread); !until.Before(latest) {
		l.lastBusyReturn = latest
		until = latest.Add(-time.Duration(l.guard.cfg.Rand() * float64(maxSpread/2)))
	}
	return l.deferral(full, l.name+" is at its limit ("+limit+")", until)
}

// returnTime is the time, not before from, at which the next order parked by an outage may return: at most maxReturnRate of
// them per second do.
func (l *serviceLimiter) returnTime(now, from time.Time) time.Time {
	if l.lastReturn.Before(now) {
		l.lastReturn = now
	}
	l.lastReturn = l.lastReturn.Add(interval(maxReturnRate))
	if l.lastReturn.After(from) {
		return l.lastReturn
	}
	return from
}

func interval(perSecond float64) time.Duration {
	return time.Duration(float64(time.Second) / perSecond)
}

func (l *serviceLimiter) deferral(cause deferralCause, reason string, until time.Time) *delivery.Failure {
	if cause != full && until.After(l.parkedUntil) {
		l.parkedUntil = until
	}
	l.guard.instr.deferred(l, cause)
	return &delivery.Failure{
		Kind:     messages.Transient,
		Err:      errors.New(reason),
		Deferral: &delivery.Deferral{Reason: reason, Until: l.guard.cfg.ServerTime(until)},
	}
}

// openText is the cause of an opening for the log.
func openText(cause error) string {
	if isSetup(cause) {
		return setupText + ": " + errorText(cause)
	}
	return errorText(cause)
}

// errorText is the text of an error without its failure kind.
func errorText(err error) string {
	var f *delivery.Failure
	if errors.As(err, &f) && f.Err != nil {
		return f.Err.Error()
	}
	return err.Error()
}
