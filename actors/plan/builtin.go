package plan

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// DefaultConcurrency is the concurrency limit of a step without limits.
const DefaultConcurrency = 256

// The other defaults of a step.
const (
	defaultTimeout  = 2 * time.Second
	defaultInitial  = 100 * time.Millisecond
	defaultMax      = 30 * time.Second
	defaultAttempts = 10
)

// Builtin returns a new copy of the default plan: reserve, authorize, ship, capture.
func Builtin() *messages.Plan {
	return fourStepPlan("order", func(service string) string { return "nats://" + service }, DefaultConcurrency)
}

// Sim returns the built-in plan with target, a sim: URL, for every call and without limits. It has its own name, because a
// name and version identify one content.
func Sim(target string) *messages.Plan {
	return fourStepPlan("sim", func(string) string { return target }, 0)
}

func fourStepPlan(name string, target func(service string) string, concurrency uint32) *messages.Plan {
	p := &messages.Plan{Name: name, Version: 1, Steps: []*messages.Step{
		{Name: "reserve_inventory", Do: target("inventory.reserve"), Undo: target("inventory.release")},
		{Name: "authorize_payment", Do: target("payments.authorize"), Undo: target("payments.void")},
		{Name: "create_shipment", Do: target("shipping.create"), Undo: target("shipping.cancel")},
		// Last, as it has no undo.
		{Name: "capture_payment", Do: target("payments.capture")},
	}}
	for _, s := range p.Steps {
		s.Limits = &messages.Limits{Concurrency: concurrency}
		fillDefaults(s)
	}
	return p
}

// WithDefaults returns a copy of p with defaults for absent fields, as Load does for a plan file. It does not validate.
func WithDefaults(p *messages.Plan) *messages.Plan {
	p = proto.CloneOf(p)
	shareLimits(p.GetSteps())
	for _, s := range p.GetSteps() {
		if s == nil {
			continue
		}
		if s.Retry != nil && s.Retry.Attempts == 0 {
			s.Retry.Attempts = defaultAttempts
		}
		fillDefaults(s)
	}
	return p
}

// fillDefaults sets the absent fields of a step.
func fillDefaults(s *messages.Step) {
	if s.Timeout == nil {
		s.Timeout = durationpb.New(defaultTimeout)
	}
	if s.Retry == nil {
		s.Retry = &messages.Retry{Attempts: defaultAttempts}
	}
	if s.Retry.Initial == nil {
		s.Retry.Initial = durationpb.New(defaultInitial)
	}
	if s.Retry.Max == nil {
		s.Retry.Max = durationpb.New(max(defaultMax, s.Retry.Initial.AsDuration()))
	}
	if s.Limits == nil {
		s.Limits = &messages.Limits{Concurrency: DefaultConcurrency}
	}
	if s.InDoubt == messages.InDoubt_IN_DOUBT_UNSPECIFIED {
		s.InDoubt = messages.InDoubt_IN_DOUBT_SETTLE
	}
	if s.Encoding == messages.Encoding_ENCODING_UNSPECIFIED {
		s.Encoding = messages.Encoding_ENCODING_JSON
	}
}
