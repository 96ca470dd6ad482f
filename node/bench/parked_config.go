package bench

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// ParkedConfig is that of a measurement of parked orders. The zero value of every field means its default.
type ParkedConfig struct {
	// Orders that wait; default 100,000.
	Orders int
	// Window in which their timers are due, evenly spread; default 0, all at once.
	Window time.Duration
	// Ahead is how far away the first timer is when the first order is published: the orders must all be parked by
	// then, with some time to spare in which nothing happens. Default 30 seconds and a millisecond for each order.
	Ahead time.Duration
	// Idle is how long the node is watched doing nothing; default 12 seconds, in which the server lets go of the blocks it
	// has read.
	Idle time.Duration
	// InFlight bounds the orders in memory; default 4096.
	InFlight int
	// Rate of orders that do not wait, published while the others wake, per second; default 50.
	Rate int
	// Dir is where the servers keep their stores; default the directory for temporary files.
	Dir string
	// Modes are the durabilities to measure; default relaxed and strict.
	Modes []Mode
	// Progress takes a line per stage.
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

// Validate says what is out of range.
func (c ParkedConfig) Validate() error { return c.withDefaults().ValidateCounts() }

// ValidateCounts is Validate for a caller with defaults of its own: a count of zero is out of range.
func (c ParkedConfig) ValidateCounts() error {
	errs := checkModes(c.Modes)
	errs = append(errs,
		within("parked", c.Orders, 10, 1_000_000),
		within("in flight", c.InFlight, 16, 20_000),
		within("rate", c.Rate, 1, 10_000),
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
