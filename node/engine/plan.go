package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

var (
	// ErrInvalidPlan is wrapped by errors about a plan that cannot work.
	ErrInvalidPlan = plan.ErrInvalid
	// ErrPlanChanged is wrapped by the error about a plan whose name and version are registered with other content.
	ErrPlanChanged = plan.ErrChanged
)

// Unlimited disables a limit.
const Unlimited = -1

// Plan is the list of steps an order goes through. It is performed in order and undone in reverse. Every order keeps the
// plan it was accepted with; name and version identify one content permanently.
type Plan struct {
	// Name is 1–64 characters of a–z 0–9 _ beginning with a letter.
	Name string
	// Version is at least 1. Raise it with every change.
	Version int
	// Steps are 1–64.
	Steps []Step
}

// Step is one call of a service or a function, with the call that undoes it. Zero values mean the defaults.
type Step struct {
	// Name is 1–64 characters of a–z 0–9 _ beginning with a letter; unique in the plan.
	Name string
	// Do performs the step. Undo compensates Do; nil: nothing to undo.
	Do, Undo Target
	// Timeout of one call, 1 ms to 5 minutes; default 2 seconds.
	Timeout time.Duration
	Retry   Retry
	Limits  Limits
	// UndoInDoubt: an order that is compensated while it is unknown if the step was performed calls Undo at once. Undo must
	// accept a key that was never performed, and a later Do with that key must be refused. Otherwise Do is called again
	// under its key first, then Undo.
	UndoInDoubt bool
	// Protobuf: calls over NATS and HTTP are encoded as protobuf instead of JSON.
	Protobuf bool
	// Reply says how to read answers of Do, and UndoReply those of Undo, that are not a StepReply. Functions always return one.
	Reply, UndoReply Reading
	// NothingToUndo are codes of a rejected Undo, or statuses, that mean that nothing is left to undo: the step counts as undone.
	NothingToUndo []string
}

// Reading says what a JSON answer means that is not a StepReply, in expressions of the Common Expression Language (CEL) over
// body and status. The first condition that is true decides, in the order of the fields. Zero: there is no such answer.
type Reading struct {
	DoneWhen, RejectedWhen, PendingWhen, RetryWhen string
	// Data is the data of done; default the whole body.
	Data string
	// Code is that of a rejection, Reason that of a rejection or a retry.
	Code, Reason string
}

// Retry limits the attempts of a call and sets the delays between them.
type Retry struct {
	// Initial is the delay before the second attempt, default 100 ms. It doubles up to Max, default 30 s.
	Initial, Max time.Duration
	// Attempts before the order needs attention, 1–1000; default 10.
	Attempts int
}

// Limits protect the downstream of a step from this program. Steps with the same downstream share them.
type Limits struct {
	// Concurrency is the largest number of calls in flight; default 256, or Unlimited.
	Concurrency int
	// Rate is the number of calls per second; default no limit.
	Rate float64
}

// Target is what a step calls: a URL, a Function, or a function made a target by Typed.
type Target interface{ target() }

// URL is the target of a service: nats://subject, http://…, https://…, name/path for one of Config.Downstreams, or func:name for
// one of Config.Functions.
type URL string

func (URL) target()      {}
func (Function) target() {}
func (*typed) target()   {}

// Step returns the step of that name, so that its fields can be set, or nil.
func (p *Plan) Step(name string) *Step {
	for i := range p.Steps {
		if p.Steps[i].Name == name {
			return &p.Steps[i]
		}
	}
	return nil
}

// LoadPlan reads a plan file (YAML or JSON). Its targets are URLs. The error wraps ErrInvalidPlan, unless the file cannot
// be read, and has a line for each problem, with file, line, step and field.
func LoadPlan(path string) (Plan, error) {
	p, err := plan.Load(path, checkURL)
	if err != nil {
		return Plan{}, err
	}
	return PlanFromProto(p), nil
}

// ParsePlan is LoadPlan for text that was read already.
func ParsePlan(text []byte) (Plan, error) {
	p, err := plan.Parse(text, checkURL)
	if err != nil {
		return Plan{}, err
	}
	return PlanFromProto(p), nil
}

// checkURL leaves functions to Build, which knows them.
func checkURL(target string) error {
	if strings.HasPrefix(target, "func:") {
		return nil
	}
	return gateway.Check(target)
}

// PlanFromProto converts a plan message to a Plan.
func PlanFromProto(p *messages.Plan) Plan {
	out := Plan{Name: p.GetName(), Version: int(p.GetVersion()), Steps: make([]Step, len(p.GetSteps()))}
	for i, s := range p.GetSteps() {
		out.Steps[i] = Step{
			Name: s.GetName(), Do: urlOf(s.GetDo()), Undo: urlOf(s.GetUndo()), Timeout: s.GetTimeout().AsDuration(),
			Retry: Retry{
				Initial: s.GetRetry().GetInitial().AsDuration(), Max: s.GetRetry().GetMax().AsDuration(),
				Attempts: int(s.GetRetry().GetAttempts()),
			},
			UndoInDoubt: s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO,
			Protobuf:    s.GetEncoding() == messages.Encoding_ENCODING_PROTOBUF,
			Reply:       readingOf(s.GetReply()), UndoReply: readingOf(s.GetUndoReply()),
			NothingToUndo: slices.Clone(s.GetNothingToUndo()),
		}
		if l := s.GetLimits(); l != nil {
			out.Steps[i].Limits = Limits{Concurrency: int(l.GetConcurrency()), Rate: l.GetRate()}
			if l.GetConcurrency() == 0 {
				out.Steps[i].Limits.Concurrency = Unlimited
			}
		}
	}
	return out
}

func readingOf(r *messages.Reading) Reading {
	return Reading{
		DoneWhen: r.GetDoneWhen(), RejectedWhen: r.GetRejectedWhen(), PendingWhen: r.GetPendingWhen(), RetryWhen: r.GetRetryWhen(),
		Data: r.GetData(), Code: r.GetCode(), Reason: r.GetReason(),
	}
}

// message returns nil for the zero Reading.
func (r Reading) message() *messages.Reading {
	if r == (Reading{}) {
		return nil
	}
	return &messages.Reading{
		DoneWhen: r.DoneWhen, RejectedWhen: r.RejectedWhen, PendingWhen: r.PendingWhen, RetryWhen: r.RetryWhen,
		Data: r.Data, Code: r.Code, Reason: r.Reason,
	}
}

func urlOf(s string) Target {
	if s == "" {
		return nil
	}
	return URL(s)
}

// Build returns the plan as the message that is pinned to orders, its defaults filled in, and the functions it names: the
// plan's own, called func:<step> and func:<step>.undo, besides those given. The error wraps ErrInvalidPlan. New calls it;
// so does package enginetest.
func (p Plan) Build(more Functions) (*messages.Plan, gateway.Functions, error) {
	functions := more.handlers()
	out := &messages.Plan{Name: p.Name, Version: whole(p.Version)}
	var before []string
	for i := range p.Steps {
		s := &p.Steps[i]
		m, err := s.build()
		if err == nil {
			m.Do, err = bind(s.Do, s.Name, functions, before)
		}
		before = append(before, s.Name)
		if err == nil && s.Undo != nil {
			m.Undo, err = bind(s.Undo, s.Name+".undo", functions, []string{s.Name})
			if err != nil {
				err = fmt.Errorf("undo: %w", err)
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: step %s: %w", ErrInvalidPlan, s.Name, err)
		}
		out.Steps = append(out.Steps, m)
	}
	out = plan.WithDefaults(out)
	if err := plan.Validate(out, functions.Check); err != nil {
		return nil, nil, err
	}
	return out, functions, nil
}

// build is the step without its targets. Zero values stay unset.
func (s *Step) build() (*messages.Step, error) {
	if s.Retry.Attempts < 0 || s.Limits.Concurrency < Unlimited {
		return nil, fmt.Errorf("attempts %d, concurrency %d: want neither negative", s.Retry.Attempts, s.Limits.Concurrency)
	}
	m := &messages.Step{
		Name: s.Name, Timeout: duration(s.Timeout), Reply: s.Reply.message(), UndoReply: s.UndoReply.message(),
		NothingToUndo: slices.Clone(s.NothingToUndo),
	}
	if s.Retry != (Retry{}) {
		m.Retry = &messages.Retry{Initial: duration(s.Retry.Initial), Max: duration(s.Retry.Max), Attempts: whole(s.Retry.Attempts)}
	}
	if s.Limits != (Limits{}) {
		m.Limits = &messages.Limits{Concurrency: plan.DefaultConcurrency, Rate: s.Limits.Rate}
		if c := s.Limits.Concurrency; c != 0 {
			m.Limits.Concurrency = whole(c)
		}
	}
	if s.UndoInDoubt {
		m.InDoubt = messages.InDoubt_IN_DOUBT_UNDO
	}
	if s.Protobuf {
		m.Encoding = messages.Encoding_ENCODING_PROTOBUF
	}
	return m, nil
}

// bind returns the URL of a target. A function is entered under the name; it gets the results of the given steps.
func bind(t Target, name string, functions gateway.Functions, given []string) (string, error) {
	var f Function
	switch t := t.(type) {
	case nil:
		return "", nil
	case URL:
		return string(t), nil
	case Function:
		f = t
	case *typed:
		if err := t.check(given); err != nil {
			return "", err
		}
		f = t.call
	}
	if f == nil {
		return "", errors.New("the function is nil")
	}
	if functions[name] != nil {
		return "", fmt.Errorf("function %s is given twice: by the step and in Functions", name)
	}
	functions[name] = f.handler()
	return "func:" + name, nil
}

// duration returns nil for 0, which means the default.
func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// whole returns 0, which means no value, for negative values.
func whole(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
