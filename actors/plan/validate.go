package plan

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// ErrInvalid is wrapped by every error about the content of a plan.
var ErrInvalid = errors.New("plan is invalid")

// Bounds of a plan.
const (
	maxSteps       = 64
	maxName        = 64
	maxPlanBytes   = 64 << 10 // of the protobuf message: every order stores its plan
	minTimeout     = time.Millisecond
	maxTimeout     = 5 * time.Minute
	minDelay       = time.Millisecond
	maxDelay       = 24 * time.Hour
	maxAttempts    = 1000
	maxConcurrency = 1 << 20
	minRate        = 1e-3
	maxRate        = 1e6
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Validate returns an error unless the plan is valid. The error wraps ErrInvalid and names the step and the field. check, which
// may be nil, returns an error for a target that cannot be called.
func Validate(p *messages.Plan, check func(target string) error) error {
	if err := validate(p, check); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// fieldError is an error with its place in the plan.
type fieldError struct {
	// step is its index, or wholePlan.
	step int
	// field is the path within the step or the plan, such as retry.max, or empty.
	field string
	error
}

const wholePlan = -1

func (f *fieldError) Unwrap() error { return f.error }

func validate(p *messages.Plan, check func(string) error) error {
	if p == nil {
		return errors.New("there is none")
	}
	if err := validateName(p.GetName()); err != nil {
		return &fieldError{wholePlan, "name", err}
	}
	if p.GetVersion() < 1 {
		return &fieldError{wholePlan, "version", errors.New("version is missing or 0: want at least 1")}
	}
	if n := len(p.GetSteps()); n < 1 || n > maxSteps {
		return &fieldError{wholePlan, "steps", fmt.Errorf("steps: there are %d: want 1–%d", n, maxSteps)}
	}
	seen := map[string]int{}
	for i, s := range p.GetSteps() {
		if err := validateName(s.GetName()); err != nil {
			return &fieldError{i, "name", fmt.Errorf("step %d: %w", i+1, err)}
		}
		if first, ok := seen[s.GetName()]; ok {
			return &fieldError{i, "name", fmt.Errorf("step %d: name %q is the name of step %d already", i+1, s.GetName(), first)}
		}
		seen[s.GetName()] = i + 1
		if field, err := validateStep(s, check); err != nil {
			return &fieldError{i, field, fmt.Errorf("step %s: %w", s.GetName(), err)}
		}
	}
	if err := validateSharedLimits(p.GetSteps()); err != nil {
		return err
	}
	if n := proto.Size(p); n > maxPlanBytes {
		return fmt.Errorf("it has %d bytes: at most %d are allowed, for every order stores its plan", n, maxPlanBytes)
	}
	return nil
}

func validateName(s string) error {
	if len(s) > maxName || !namePattern.MatchString(s) {
		return fmt.Errorf("name %.80q: want 1–%d characters of a–z 0–9 _ beginning with a letter", s, maxName)
	}
	return nil
}

// validateStep also returns the invalid field.
func validateStep(s *messages.Step, check func(string) error) (field string, err error) {
	if s.GetDo() == "" {
		return "do", errors.New("do is missing: want a target such as nats://inventory.reserve")
	}
	if check != nil {
		if err := check(s.GetDo()); err != nil {
			return "do", fmt.Errorf("do: %w", err)
		}
		if s.GetUndo() != "" {
			if err := check(s.GetUndo()); err != nil {
				return "undo", fmt.Errorf("undo: %w", err)
			}
		}
	}
	if err := validateDuration("timeout", s.GetTimeout(), minTimeout, maxTimeout); err != nil {
		return "timeout", err
	}
	r := s.GetRetry()
	if err := validateDuration("retry.initial", r.GetInitial(), minDelay, maxDelay); err != nil {
		return "retry.initial", err
	}
	if err := validateDuration("retry.max", r.GetMax(), r.GetInitial().AsDuration(), maxDelay); err != nil {
		return "retry.max", err
	}
	if n := r.GetAttempts(); n < 1 || n > maxAttempts {
		return "retry.attempts", fmt.Errorf("retry.attempts is %d: want 1–%d", n, maxAttempts)
	}
	if n := s.GetLimits().GetConcurrency(); n > maxConcurrency {
		return "limits.concurrency", fmt.Errorf("limits.concurrency is %d: want 0 (no limit) to %d", n, maxConcurrency)
	}
	if x := s.GetLimits().GetRate(); math.IsNaN(x) || x != 0 && x < minRate || x > maxRate {
		return "limits.rate", fmt.Errorf("limits.rate is %v: want 0 (no limit), or %v to %.0f calls per second", x, minRate, maxRate)
	}
	if _, ok := messages.InDoubt_name[int32(s.GetInDoubt())]; !ok {
		return "in_doubt", fmt.Errorf("in_doubt is %d: want settle or undo", s.GetInDoubt())
	}
	if s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO && s.GetUndo() == "" {
		return "in_doubt", errors.New("in_doubt is undo, but the step has no undo")
	}
	if _, ok := messages.Encoding_name[int32(s.GetEncoding())]; !ok {
		return "encoding", fmt.Errorf("encoding is %d: want json or protobuf", s.GetEncoding())
	}
	return "", nil
}

func validateDuration(field string, d *durationpb.Duration, low, high time.Duration) error {
	if d == nil {
		return fmt.Errorf("%s is missing: want %s–%s", field, low, high)
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() < low || d.AsDuration() > high {
		return fmt.Errorf("%s is %s: want %s–%s", field, d.AsDuration(), low, high)
	}
	return nil
}
