package bench

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// ParkedConfig configures a measurement of parked orders. The zero value of every field means its default.
type ParkedConfig struct {
	// Orders to park; default 100,000.
	Orders int
	// Window in which their timers are due, evenly spread; default 0, all at once.
	Window time.Duration
	// Ahead is the time from the first publish to the first timer. All orders must be parked by then, and stay so for Idle.
	// Default 30 seconds and a millisecond for each order.
	Ahead time.Duration
	// Idle is how long the idle node is measured; default 12 seconds, in which the server frees the blocks it has read.
	Idle time.Duration
	// InFlight bounds the orders in memory; default 4096.
	InFlight int
	// Rate of other orders, published while the parked ones wake, per second; default 50.
	Rate int
	// Dir is the directory of the servers' stores; default the temporary directory.
	Dir string
	// Modes are the durabilities to measure; default relaxed and strict.
	Modes []Mode
	// Progress gets a line per stage.
	Progress io.Writer
}

func (c ParkedConfig) withDefaults() ParkedConfig {
	if c.Orders == 0 {
		c.Orders = 100_000
	}
	if c.Ahead == 0 {
		c.Ahead = 30*time.Second + time.Duration(c.Orders)*time.Millisecond
	}
	if c.Idle == 0 {
		c.Idle = 12 * time.Second
	}
	if c.InFlight == 0 {
		c.InFlight = 4096
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if len(c.Modes) == 0 {
		c.Modes = []Mode{Relaxed, Strict}
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// Validate reports what is out of range.
func (c ParkedConfig) Validate() error { return c.withDefaults().ValidateCounts() }

// ValidateCounts is Validate for a caller that sets all counts: zero is out of range.
func (c ParkedConfig) ValidateCounts() error {
	errs := checkModes(c.Modes)
	errs = append(errs,
		checkRange("parked", c.Orders, 10, 1_000_000),
		checkRange("in flight", c.InFlight, 16, 20_000),
		checkRange("rate", c.Rate, 1, 10_000),
	)
	full := c.withDefaults()
	for _, d := range []struct {
		name      string
		v         time.Duration
		low, high time.Duration
	}{{"window", c.Window, 0, time.Hour}, {"ahead", full.Ahead, time.Second, time.Hour}, {"idle", full.Idle, time.Millisecond, time.Hour}} {
		if d.v < d.low || d.v > d.high {
			errs = append(errs, fmt.Errorf("%s is %s: want %s–%s", d.name, d.v, d.low, d.high))
		}
	}
	return errors.Join(errs...)
}
