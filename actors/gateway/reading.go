package gateway

import (
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

// reading returns how the plan reads answers to the call that are not a StepReply, and the field of the step that says so; nil
// if it does not.
func (c *Call) reading() (r *messages.Reading, field string) {
	if c.Direction == messages.Undo {
		return c.Step.GetUndoReply(), "undo_reply"
	}
	return c.Step.GetReply(), "reply"
}

// checkReading returns what is wrong with the reading of the call, or an empty text. A plan is checked at the start; but the
// plan of an order may be that of a program which knows more than this one.
func (s *Set) checkReading(c *Call) string {
	r, field := c.reading()
	if r == nil {
		return ""
	}
	if _, err := s.readings.Compile(r); err != nil {
		return fmt.Sprintf("this node cannot read %s of step %s: %s", field, c.Step.GetName(), sanitize(err.Error(), maxReasonBytes))
	}
	return ""
}

// readForeign reads a JSON answer that is not a StepReply as the plan says. It returns nil if no condition of the plan is true.
// An error says which expression cannot be evaluated.
func (p *pendingCall) readForeign(a *response) (*messages.StepReply, error) {
	r, field := p.call.reading()
	program, err := p.set.readings.Compile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	answer, err := program.Read(a.status, a.json())
	if err != nil {
		return nil, fmt.Errorf("%s.%w", field, err)
	}
	if answer == nil {
		return nil, nil
	}
	switch answer.Outcome {
	case reading.Done:
		return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: answer.Data}}}, nil
	case reading.Pending:
		return p.pending(a), nil
	case reading.Retry:
		return &messages.StepReply{Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{
			After: &durationpb.Duration{}, Reason: a.reasonOr(answer.Reason),
		}}}, nil
	}
	code := answer.Code
	if code == "" && a.status >= http.StatusMultipleChoices {
		code = strconv.Itoa(a.status)
	}
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{
		Code: code, Reason: a.reasonOr(answer.Reason),
	}}}, nil
}

// reasonOr returns the reason or, if it is empty, that of the answer. The name of a success is none.
func (a *response) reasonOr(reason string) string {
	if reason != "" {
		return reason
	}
	b := *a
	if b.status < http.StatusMultipleChoices {
		b.status = 0
	}
	return b.errorText()
}
