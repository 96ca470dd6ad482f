package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Function performs a step of an order in this process, or undoes it: see gateway.Function for its contract. It may be
// called more than once under the same idempotency key, and must then not act again.
type Function = gateway.Function

// Functions are step functions by the name in their targets func:<name>.
type Functions = gateway.Functions

// Done answers that the step is performed, or undone. Data is any value that encoding/json can write; later steps see it
// in their results. Data it cannot write are a Defect.
func Done(data any) (*messages.StepReply, error) {
	done := &messages.StepDone{}
	if data != nil {
		done.Data = &structpb.Value{}
		body, err := json.Marshal(data)
		if err == nil {
			err = protojson.Unmarshal(body, done.Data)
		}
		if err != nil {
			return nil, &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf("data of the step cannot be written as JSON: %w", err)}
		}
	}
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: done}}, nil
}

// Rejected answers with a business no: what was done of the order is undone, and it ends as rejected. To a call to undo it
// is no answer: a person has to decide then.
func Rejected(code, reason string) (*messages.StepReply, error) {
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: code, Reason: reason}}}, nil
}

// Pending answers that the step ends later, by a signal of that name about the order; the signal's data become the
// step's. Without one the step is called again at the deadline, or after an hour if the deadline is zero.
func Pending(signal string, deadline time.Time) (*messages.StepReply, error) {
	waiting := &messages.StepWaiting{Signal: signal}
	if !deadline.IsZero() {
		waiting.Deadline = timestamppb.New(deadline)
	}
	return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: waiting}}, nil
}

// Retry answers that the step is to be called again, not before the delay is over.
func Retry(after time.Duration, reason string) (*messages.StepReply, error) {
	return &messages.StepReply{Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{After: durationpb.New(after), Reason: reason}}}, nil
}

// ErrNoResult is wrapped by the error about data that no earlier step left.
var ErrNoResult = errors.New("no result")

// Result decodes the data that an earlier step left into a value, as encoding/json does.
func Result(r *messages.StepRequest, step string, into any) error {
	data, ok := r.GetResults()[step]
	if !ok {
		return fmt.Errorf("step %s: %w of step %s", r.GetStep(), ErrNoResult, step)
	}
	body, err := protojson.Marshal(data)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("step %s: result of step %s: %w", r.GetStep(), step, err)
	}
	return nil
}
