// Package backoff computes capped exponential delays with full jitter.
package backoff

import "time"

// Exponential delays: the n-th is drawn between 0 and Initial·2ⁿ⁻¹, at most Max.
type Exponential struct {
	Initial, Max time.Duration
}

// WithDefaults fills in what is not positive. A Max that is filled in is never below Initial.
func (e Exponential) WithDefaults(initial, ceiling time.Duration) Exponential {
	if e.Initial <= 0 {
		e.Initial = initial
	}
	if e.Max <= 0 {
		e.Max = max(ceiling, e.Initial)
	}
	return e
}

// Delay is the n-th delay, n from 1. The jitter, in [0,1), is the caller's draw.
func (e Exponential) Delay(n int, jitter float64) time.Duration {
	ceiling := e.ceiling(n)
	return min(time.Duration(jitter*float64(ceiling)), ceiling)
}

// ceiling is the longest n-th delay; it cannot overflow.
func (e Exponential) ceiling(n int) time.Duration {
	d := min(e.Initial, e.Max)
	for ; n > 1 && d < e.Max; n-- {
		if d > e.Max/2 {
			return e.Max
		}
		d *= 2
	}
	return d
}
