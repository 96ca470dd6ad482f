package demo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrBehavior is wrapped by every error about an invalid Behavior.
var ErrBehavior = errors.New("demo behavior")

const (
	maxLatency    = time.Minute
	defaultFinish = 2 * time.Second
)

// Behavior is the latency and the failures of a service. The zero value replies at once and never fails.
type Behavior struct {
	// Latency is the delay between a call's effect and its reply; at most a minute.
	Latency time.Duration
	// Fail is the share of calls that end as unavailable, half of them after their effect.
	Fail float64
	// Reject is the share of first calls of a do that are refused.
	Reject float64
	// Pending is the share of first calls of a do that are answered pending and finished by a signal.
	Pending float64
	// Finish is how long pending work takes; 0 means 2s.
	Finish time.Duration
	// Away: calls are neither performed nor answered, as if the service did not exist.
	Away bool
}

// Validate reports a value that is out of range; the error wraps ErrBehavior.
func (b Behavior) Validate() error {
	for name, d := range map[string]time.Duration{"latency": b.Latency, "finish": b.Finish} {
		if d < 0 || d > maxLatency {
			return fmt.Errorf("%w: %s is %s: want 0s–%s", ErrBehavior, name, d, maxLatency)
		}
	}
	for name, p := range map[string]float64{"fail": b.Fail, "reject": b.Reject, "pending": b.Pending} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("%w: %s is %v: want 0–1", ErrBehavior, name, p)
		}
	}
	return nil
}

func (b Behavior) finish() time.Duration {
	if b.Finish == 0 {
		return defaultFinish
	}
	return b.Finish
}

// Behaviors is the Behavior of each service. As text, for the environment and flags:
//
//	latency=5ms,fail=0.01,reject=0.02,pending=0.01,finish=1s,payments.fail=0.5
//
// A name without a service applies to all of them; later settings override.
type Behaviors struct {
	Inventory, Payments, Shipping Behavior
}

// All gives every service the same Behavior.
func All(b Behavior) Behaviors { return Behaviors{b, b, b} }

// ParseBehaviors reads the text form; the error wraps ErrBehavior and says what is allowed.
func ParseBehaviors(s string) (Behaviors, error) { return Behaviors{}.With(s) }

// With returns the behaviors with the settings of the text changed; the error wraps ErrBehavior and says what is allowed.
func (b Behaviors) With(s string) (Behaviors, error) {
	all := b
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		if !ok {
			return all, fmt.Errorf("%w: %q has no value: want for example latency=5ms,fail=0.01", ErrBehavior, item)
		}
		which := []*Behavior{&all.Inventory, &all.Payments, &all.Shipping}
		service, setting, ok := strings.Cut(name, ".")
		switch {
		case !ok:
			setting = name
		case service == "inventory":
			which = which[:1]
		case service == "payments":
			which = which[1:2]
		case service == "shipping":
			which = which[2:]
		default:
			return all, fmt.Errorf("%w: service %q is unknown: want inventory, payments or shipping", ErrBehavior, service)
		}
		for _, b := range which {
			if err := b.set(setting, value); err != nil {
				return all, err
			}
		}
	}
	return all, all.Validate()
}

func (b *Behavior) set(setting, value string) (err error) {
	switch setting {
	case "latency":
		b.Latency, err = time.ParseDuration(value)
	case "finish":
		b.Finish, err = time.ParseDuration(value)
	case "fail":
		b.Fail, err = strconv.ParseFloat(value, 64)
	case "reject":
		b.Reject, err = strconv.ParseFloat(value, 64)
	case "pending":
		b.Pending, err = strconv.ParseFloat(value, 64)
	case "away":
		if b.Away, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%w: away %q is neither true nor false", ErrBehavior, value)
		}
	default:
		return fmt.Errorf("%w: %q is unknown: want latency, fail, reject, pending, finish or away", ErrBehavior, setting)
	}
	if err != nil {
		return fmt.Errorf("%w: %s %q is neither a duration such as 5ms nor a share such as 0.01, as it should be", ErrBehavior, setting, value)
	}
	return nil
}

// Validate reports a value that is out of range; the error wraps ErrBehavior.
func (b Behaviors) Validate() error {
	for _, s := range b.named() {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("%s: %w", s.service, err)
		}
	}
	return nil
}

// MarshalText is the text form that ParseBehaviors reads back; empty when nothing is set.
func (b Behaviors) MarshalText() ([]byte, error) {
	var items []string
	add := func(service, setting, value, zero string) {
		if value != zero {
			items = append(items, service+"."+setting+"="+value)
		}
	}
	for _, s := range b.named() {
		add(s.service, "latency", s.Latency.String(), "0s")
		add(s.service, "fail", strconv.FormatFloat(s.Fail, 'g', -1, 64), "0")
		add(s.service, "reject", strconv.FormatFloat(s.Reject, 'g', -1, 64), "0")
		add(s.service, "pending", strconv.FormatFloat(s.Pending, 'g', -1, 64), "0")
		add(s.service, "finish", s.Finish.String(), "0s")
		add(s.service, "away", strconv.FormatBool(s.Away), "false")
	}
	return []byte(strings.Join(items, ",")), nil
}

type namedBehavior struct {
	service string
	Behavior
}

func (b Behaviors) named() [3]namedBehavior {
	return [3]namedBehavior{{"inventory", b.Inventory}, {"payments", b.Payments}, {"shipping", b.Shipping}}
}

// of is the Behavior of a service.
func (b Behaviors) of(service string) Behavior {
	for _, s := range b.named() {
		if s.service == service {
			return s.Behavior
		}
	}
	return Behavior{}
}
