package plan

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// Bounds of a plan.
const (
	maxSteps     = 64
	maxName      = 64
	maxPlanBytes = 64 << 10 // of the protobuf message: every order stores its plan
	minTimeout   = time.Millisecond
	maxTimeout   = 5 * time.Minute
	minDelay     = time.Millisecond
	maxDelay     = 24 * time.Hour
	maxAttempts  = 1000
)

// Bounds of limits, besides 0 for no limit. Rates are in calls per second.
const (
	MaxConcurrency = 1 << 20
	MinRate        = 1e-3
	MaxRate        = 1e6
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Validate returns an *InvalidError unless the plan is valid. check, which may be nil, returns an error for a target that cannot
// be called.
func Validate(p *messages.Plan, check func(target string) error) error {
	ps := &problems{label: func(step int) string { return labelOf(p, step) }}
	validate(ps, p, check)
	return ps.err()
}

// labelOf returns the name of a step, or its number if it has no name of its own.
func labelOf(p *messages.Plan, step int) string {
	name := p.GetSteps()[step].GetName()
	first := slices.IndexFunc(p.GetSteps(), func(s *messages.Step) bool { return s.GetName() == name })
	if first != step || !validName(name) {
		return strconv.Itoa(step + 1)
	}
	return name
}

func validate(ps *problems, p *messages.Plan, check func(string) error) {
	if p == nil {
		ps.add(place{wholePlan, ""}, "there is none")
		return
	}
	validateName(ps, place{wholePlan, "name"}, p.GetName())
	if p.GetVersion() < 1 {
		ps.add(place{wholePlan, "version"}, "version is missing or 0: want at least 1")
	}
	if n := len(p.GetSteps()); n < 1 || n > maxSteps {
		ps.add(place{wholePlan, "steps"}, "steps: there are %d: want 1–%d", n, maxSteps)
		return
	}
	seen := map[string]int{}
	for i, s := range p.GetSteps() {
		validateName(ps, place{i, "name"}, s.GetName())
		if first, ok := seen[s.GetName()]; ok {
			ps.add(place{i, "name"}, "name %q is the name of step %d already", s.GetName(), first)
		} else {
			seen[s.GetName()] = i + 1
		}
		validateStep(ps, i, s, check)
	}
	validateSharedLimits(ps, p.GetSteps())
	if n := proto.Size(p); n > maxPlanBytes {
		ps.add(place{wholePlan, "steps"}, "it has %d bytes: at most %d are allowed, for every order stores its plan", n, maxPlanBytes)
	}
}

func validName(s string) bool { return len(s) <= maxName && namePattern.MatchString(s) }

func validateName(ps *problems, at place, s string) {
	if !validName(s) {
		ps.add(at, "name %.80q: want 1–%d characters of a–z 0–9 _ beginning with a letter", s, maxName)
	}
}

func validateStep(ps *problems, i int, s *messages.Step, check func(string) error) {
	at := func(field string) place { return place{i, field} }
	if s.GetDo() == "" {
		ps.add(at("do"), "do is missing: want a target such as nats://inventory.reserve")
	} else if check != nil {
		if err := check(s.GetDo()); err != nil {
			ps.add(at("do"), "do: %v", err)
		}
	}
	if s.GetUndo() != "" && check != nil {
		if err := check(s.GetUndo()); err != nil {
			ps.add(at("undo"), "undo: %v", err)
		}
	}
	validateDuration(ps, at("timeout"), s.GetTimeout(), minTimeout, maxTimeout)
	r := s.GetRetry()
	validateDuration(ps, at("retry.initial"), r.GetInitial(), minDelay, maxDelay)
	least := minDelay
	if !ps.about(at("retry.initial")) {
		least = r.GetInitial().AsDuration()
	}
	validateDuration(ps, at("retry.max"), r.GetMax(), least, maxDelay)
	if n := r.GetAttempts(); n < 1 || n > maxAttempts {
		ps.add(at("retry.attempts"), "retry.attempts is %d: want 1–%d", n, maxAttempts)
	}
	if n := s.GetLimits().GetConcurrency(); n > MaxConcurrency {
		ps.add(at("limits.concurrency"), "limits.concurrency is %d: want 0 (no limit) to %d", n, MaxConcurrency)
	}
	if x := s.GetLimits().GetRate(); math.IsNaN(x) || x != 0 && x < MinRate || x > MaxRate {
		ps.add(at("limits.rate"), "limits.rate is %v: want 0 (no limit), or %v to %.0f calls per second", x, MinRate, MaxRate)
	}
	if _, ok := messages.InDoubt_name[int32(s.GetInDoubt())]; !ok {
		ps.add(at("in_doubt"), "in_doubt is %d: want settle or undo", s.GetInDoubt())
	}
	if s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO && s.GetUndo() == "" && !ps.about(at("undo")) {
		ps.add(at("in_doubt"), "in_doubt is undo, but the step has no undo")
	}
	if _, ok := messages.Encoding_name[int32(s.GetEncoding())]; !ok {
		ps.add(at("encoding"), "encoding is %d: want json or protobuf", s.GetEncoding())
	}
	validateReading(ps, at("reply"), s.GetReply(), "do", s.GetDo())
	validateReading(ps, at("undo_reply"), s.GetUndoReply(), "undo", s.GetUndo())
	validateNothingToUndo(ps, at("nothing_to_undo"), s)
}

func validateDuration(ps *problems, at place, d *durationpb.Duration, low, high time.Duration) {
	if d == nil {
		ps.add(at, "%s is missing: want %s–%s", at.field, low, high)
	} else if err := d.CheckValid(); err != nil || d.AsDuration() < low || d.AsDuration() > high {
		ps.add(at, "%s is %s: want %s–%s", at.field, d.AsDuration(), low, high)
	}
}
