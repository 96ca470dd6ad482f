package bench

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Config of a measurement. The zero value of every field means its default.
type Config struct {
	// Orders per round; default 20,000.
	Orders int
	// Rounds of raw loop and engine in turn; medians are reported. Default 3.
	Rounds int
	// InFlight bounds the orders between delivery and acknowledgement, for the raw loop as for the engine. Default 4096.
	InFlight int
	// Rate of the latency measurement, orders per second, and how many orders it takes. Default 50 and 500.
	Rate, Samples int
	// Steps of the orders that the engine handles; default InProcess. Those of the memory measurement are in process.
	Steps Steps
	// Waiting orders of the memory measurement; default 5,000.
	Waiting int
	// Index: each round also runs the engine while it maintains an index of orders.
	Index bool
	// Dir is the directory of the servers' stores; default the temporary directory.
	Dir string
	// Modes are the durabilities to measure; default relaxed and strict.
	Modes []Mode
	// Progress gets a line per round.
	Progress io.Writer

	// observe gets each call of a service, for tests.
	observe func(target, key string)
}

// Mode is a durability of the embedded server.
type Mode string

// The modes.
const (
	Relaxed Mode = "relaxed"
	Strict  Mode = "strict"
)

// Steps says how the four steps of an order are performed.
type Steps string

// The kinds of steps. Services are on loopback, in this process.
const (
	InProcess Steps = "func"
	OverNATS  Steps = "nats"
	OverHTTP  Steps = "http"
)

// timeLimit is the longest a round may take.
const timeLimit = 5 * time.Minute

func (c Config) withDefaults() Config {
	defaults := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defaults(&c.Orders, 20_000)
	defaults(&c.Rounds, 3)
	defaults(&c.InFlight, 4096)
	defaults(&c.Rate, 50)
	defaults(&c.Samples, 500)
	defaults(&c.Waiting, 5_000)
	if c.Steps == "" {
		c.Steps = InProcess
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
func (c Config) Validate() error { return c.withDefaults().ValidateCounts() }

// ValidateCounts is Validate for a caller that sets all counts: zero is out of range.
func (c Config) ValidateCounts() error {
	errs := checkModes(c.Modes)
	if c.Steps != InProcess && c.Steps != OverNATS && c.Steps != OverHTTP {
		errs = append(errs, fmt.Errorf("steps %q: want %s, %s or %s", c.Steps, InProcess, OverNATS, OverHTTP))
	}
	errs = append(errs,
		checkRange("orders", c.Orders, 1, 10_000_000),
		checkRange("rounds", c.Rounds, 1, 100),
		checkRange("in flight", c.InFlight, 16, 20_000),
		checkRange("rate", c.Rate, 1, 10_000),
		checkRange("samples", c.Samples, 10, 1_000_000),
		checkRange("waiting", c.Waiting, 100, 10_000),
	)
	return errors.Join(errs...)
}

func checkRange(name string, v, low, high int) error {
	if v < low || v > high {
		return fmt.Errorf("%s is %d: want %d–%d", name, v, low, high)
	}
	return nil
}

func checkModes(modes []Mode) (errs []error) {
	for _, m := range modes {
		if m != Relaxed && m != Strict {
			errs = append(errs, fmt.Errorf("mode %q: want %s or %s", m, Relaxed, Strict))
		}
	}
	return errs
}
