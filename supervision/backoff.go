package supervision

import "time"

// Backoff is a capped exponential delay: the cap of the n-th delay is Initial·2ⁿ⁻¹, at most Max.
type Backoff struct {
	Initial, Max time.Duration
}

func (b Backoff) withDefaults(initial, ceiling time.Duration) Backoff {
	if b.Initial <= 0 {
		b.Initial = initial
	}
	if b.Max <= 0 {
		b.Max = max(ceiling, b.Initial)
	}
	return b
}

// ceiling is the cap of the n-th delay, n from 1; it cannot overflow.
func (b Backoff) ceiling(n int) time.Duration {
	d := min(b.Initial, b.Max)
	for ; n > 1 && d < b.Max; n-- {
		if d > b.Max/2 {
			return b.Max
		}
		d *= 2
	}
	return d
}

// delay draws the n-th delay with full jitter: uniform between 0 and its cap.
func (b Backoff) delay(n int, rnd func() float64) time.Duration {
	ceiling := b.ceiling(n)
	return min(time.Duration(rnd()*float64(ceiling)), ceiling)
}
