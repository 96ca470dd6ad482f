package enginetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// Call is a completed call of a step function.
type Call struct {
	OrderID string
	// Name is <step>/do or <step>/undo.
	Name    string
	Attempt int
	// Key is the idempotency key.
	Key string
	At  time.Time
	// Answer describes the result of the function: done, with the result; rejected; pending; retry; or the error.
	Answer string
}

func (c *Call) String() string {
	return fmt.Sprintf("%s attempt %d: %s", c.Key, c.Attempt, c.Answer)
}

// record notes every call of a function.
func (e *Env) record(f gateway.Function) gateway.Function {
	return func(ctx context.Context, call *gateway.Call) (reply *messages.StepReply, err error) {
		r := call.Request
		c := &Call{
			OrderID: r.GetOrderId(), Name: r.GetStep() + "/" + r.GetDirection(), Attempt: int(call.Attempt),
			Key: r.GetIdempotencyKey(), At: time.Now(), Answer: "panic, or no answer yet",
		}
		e.mu.Lock()
		e.calls = append(e.calls, c)
		e.mu.Unlock()
		e.around(c, func() { reply, err = f(ctx, call) })
		e.mu.Lock()
		c.Answer = answer(reply, err)
		e.mu.Unlock()
		return reply, err
	}
}

// answer describes a reply.
func answer(reply *messages.StepReply, err error) string {
	switch r := reply.GetResult().(type) {
	case *messages.StepReply_Done:
		return strings.TrimSpace("done " + r.Done.GetData())
	case *messages.StepReply_Rejected:
		return "rejected: " + r.Rejected.GetCode() + ": " + r.Rejected.GetReason()
	case *messages.StepReply_Pending:
		return "pending: signal " + r.Pending.GetSignal()
	case *messages.StepReply_Retry:
		return fmt.Sprintf("retry after %s: %s", r.Retry.GetAfter().AsDuration(), r.Retry.GetReason())
	}
	return fmt.Sprint(err)
}

// Calls returns the calls made for an order so far, oldest first.
func (e *Env) Calls(id string) []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Call
	for _, c := range e.calls {
		if c.OrderID == id {
			all = append(all, *c)
		}
	}
	return all
}
