package actors

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// calling is one step call under way.
type calling struct {
	gateway.Call
	actor *Order
	call  order.Call
	began time.Time
	// phase decides who brings the answer to the actor: the caller, when it is there as Do returns, else a message.
	phase atomic.Int32
	reply *messages.StepReply
	err   error
}

const (
	phaseAsked int32 = iota
	phaseReturned
	phaseAnswered
)

// answered brings the answer of a call that did not answer at once.
type answered struct{ call *calling }

// drive makes the driver's next move (R4).
func (o *Order) drive() {
	if o.giveUp != nil {
		// It stays until the entry is stored: an append that was forestalled is tried again.
		o.startAppend(o.state.GiveUp(o.giveUp), thenGo, nil)
		return
	}
	move := o.state.Next()
	if len(move.Events) > 0 {
		o.startAppend(move.Events, thenGo, nil)
		return
	}
	o.startCall(move.Call)
}

func (o *Order) startCall(call order.Call) {
	step := o.state.Plan.Steps[call.Step]
	c := &calling{actor: o, call: call, began: o.cfg.Now()}
	c.Call = gateway.Call{
		Step:      step,
		Direction: call.Direction,
		Request: &messages.StepRequest{
			OrderId:        string(o.state.ID),
			Step:           step.GetName(),
			Direction:      call.Direction.Label(),
			Attempt:        call.Attempt,
			IdempotencyKey: messages.IdempotencyKey(o.state.ID, step.GetName(), call.Direction),
			FencingToken:   o.state.Last,
			Order:          o.state.Order,
			Results:        results(o.state),
		},
		Traceparent: o.traceparent(),
		Tracestate:  o.driver.Tracestate,
	}
	o.call = c
	self, root := o.ctx.Self(), o.ctx.ActorSystem().Root
	failpoint.Pass(failpoint.BeforeCall)
	o.Steps.Do(&c.Call, func(reply *messages.StepReply, err error) {
		c.reply, c.err = reply, err
		if !c.phase.CompareAndSwap(phaseAsked, phaseAnswered) {
			root.Send(self, &answered{call: c})
		}
	})
	if !c.phase.CompareAndSwap(phaseAsked, phaseReturned) {
		o.keep(c)
	}
}

// results are the data of the steps done, by name.
func results(s *order.State) map[string]*structpb.Value {
	var m map[string]*structpb.Value
	for i, r := range s.Results {
		if r.Data == nil {
			continue
		}
		if m == nil {
			m = make(map[string]*structpb.Value, len(s.Results))
		}
		m[s.Plan.Steps[i].GetName()] = r.Data
	}
	return m
}

// dropCall gives up the call under way: if its turn has not come, it is not made. Another driver may be at work by then.
func (o *Order) dropCall() {
	if o.call != nil {
		o.call.Drop()
		o.call = nil
	}
}

func (o *Order) answered(m *answered) {
	// The answer to a call that a fenced driver has let go is nobody's.
	if m.call == o.call {
		o.keep(m.call)
	}
}

// keep holds the answer as a fact.
func (o *Order) keep(c *calling) {
	failpoint.Pass(failpoint.AfterCall)
	a := &order.CallResult{Call: c.call, Reply: c.reply, Took: o.cfg.Now().Sub(c.began)}
	if c.err != nil {
		if !errors.As(c.err, &a.Failure) {
			a.Failure = &delivery.Failure{Kind: messages.Transient, Err: c.err}
		}
	}
	o.call, o.answer = nil, a
}

// settleAnswer journals what the answer amounts to.
func (o *Order) settleAnswer() {
	events, retryIn := o.state.HandleReply(*o.answer, order.Env{Now: o.cfg.Now(), Hold: o.cfg.Hold, Jitter: o.cfg.Rand()})
	if len(events) == 0 {
		o.answer = nil
		return
	}
	if events[len(events)-1].GetStepFailed() == nil {
		o.startAppend(events, thenGo, nil)
		return
	}
	o.startAppend(events, thenRestart, &delivery.Failure{
		Kind: messages.Transient, RetryAfter: retryIn,
		Err: fmt.Errorf("order %s: attempt %d of %s failed", o.state.ID, o.answer.Call.Attempt, o.state.Plan.Steps[o.answer.Call.Step].GetName()),
	})
}
