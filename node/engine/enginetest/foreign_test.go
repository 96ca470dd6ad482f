package enginetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/enginetest"
)

// What a service that is no function answers: nothing in time, 422 without a StepReply, a page instead of an answer.
var (
	errTimeout = errors.New("TIMEOUT")
	errStatus  = errors.New("STATUS 422")
	errPage    = errors.New("<html>")
)

// foreign turns these errors of a step function into what such a service causes.
func foreign(reply *messages.StepReply, err error) (*messages.StepReply, error) {
	switch {
	case err == nil:
	case strings.Contains(err.Error(), errTimeout.Error()):
		return nil, &delivery.Failure{Kind: messages.Transient, InDoubt: true, Err: errTimeout}
	case strings.Contains(err.Error(), errStatus.Error()):
		return nil, &delivery.Failure{Kind: messages.Rejected, Code: "422", Err: errStatus}
	case strings.Contains(err.Error(), errPage.Error()):
		return nil, &delivery.Failure{Kind: messages.Unreadable, InDoubt: true, Err: errPage}
	}
	return reply, err
}

// answers makes the do of a step act once per key and answer the calls of the key by the errors in turn, then as it is.
func (s *shop) answers(step *engine.Step, errs ...error) {
	step.Retry = engine.Retry{Initial: time.Second, Attempts: 10}
	calls := 0
	step.Do = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
		result, err := s.do(ctx, call)
		if calls++; err == nil && calls <= len(errs) {
			return nil, errs[calls-1]
		}
		return result, err
	})
}

// TestCrashEverywhereForeignAnswers: services that answer a key that they have performed as if it were another one. Wherever a
// node dies, the order ends with no effect that it does not know of.
func TestCrashEverywhereForeignAnswers(t *testing.T) {
	always, pages := make([]error, 100), make([]error, 100)
	for i := range always {
		always[i], pages[i] = errStatus, errPage
	}
	// persons retry what needs attention, until the order has ended.
	persons := func(env *enginetest.Env) {
		for range 4 {
			env.Run()
			env.Retry("o-1")
		}
	}
	for name, change := range map[string]func(*shop, *enginetest.Case){
		"422 after a time-out, undone in doubt": func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[2].UndoInDoubt = true
			s.answers(&c.Plan.Steps[2], append([]error{errTimeout}, always...)...)
		},
		"422 after a time-out, until a person has retried": func(s *shop, c *enginetest.Case) {
			s.answers(&c.Plan.Steps[2], errTimeout, errStatus)
			c.Script = persons
		},
		"a page twice, then a person retries": func(s *shop, c *enginetest.Case) {
			s.answers(&c.Plan.Steps[1], errPage, errPage)
			c.Script = persons
		},
		"pages, then a person cancels": func(s *shop, c *enginetest.Case) {
			s.answers(&c.Plan.Steps[1], pages...)
			c.Script = func(env *enginetest.Env) { env.Run(); env.Cancel("o-1", "unreadable") }
		},
		"a page, then 422": func(s *shop, c *enginetest.Case) {
			s.answers(&c.Plan.Steps[1], errPage, errStatus)
			c.Script = persons
		},
		"the undo is pending": func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[2].Do = engine.Function(func(context.Context, *engine.Call) (any, error) { return nil, engine.Reject("no", "no van") })
			c.Plan.Steps[0].Undo = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				_, err := s.undo(ctx, call)
				return nil, errors.Join(engine.Pending("released", time.Time{}), err)
			})
			c.Script = func(env *enginetest.Env) { env.Run(); env.Signal("o-1", "released", nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.CrashEverywhere(t, func() enginetest.Case {
				s := newShop()
				c := enginetest.Case{Plan: s.plan(), State: s.state}
				c.Answered(foreign)
				change(s, &c)
				return c
			})
		})
	}
}
