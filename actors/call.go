package actors

import (
	"errors"
	"time"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// drive makes the driver's next move (R4).
func (o *Order) drive() {
	o.stopRetry()
	if o.giveUp != nil {
		// It stays until the entry is stored: after a conflict it is appended again.
		o.startAppend(o.state.GiveUp(o.giveUp), (*Order).moved)
		return
	}
	move := o.state.Next()
	if len(move.Events) == 0 {
		move.Events = o.forgotten(move.Call)
	}
	if len(move.Events) > 0 {
		o.startAppend(move.Events, (*Order).moved)
		return
	}
	o.startCall(move.Call)
}

// forgotten is the entry to append instead of a call whose service may have forgotten the key.
func (o *Order) forgotten(call order.Call) []*messages.Event {
	if o.state.InDoubtSince.IsZero() {
		return nil
	}
	step := o.state.Plan.Steps[call.Step]
	target := step.GetDo()
	if call.Direction == messages.Undo {
		target = step.GetUndo()
	}
	service := o.Downstreams.Lookup(target)
	return o.state.Forgotten(call, service.Name, service.KeyLifetime, o.cfg.Now())
}

// stepCall is one step call in flight.
type stepCall struct {
	operation
	gateway.Call
	call    order.Call
	started time.Time
	reply   *messages.StepReply
	err     error
}

func (o *Order) startCall(call order.Call) {
	step := o.state.Plan.Steps[call.Step]
	c := &stepCall{operation: o.newOperation(), call: call, started: o.cfg.Local()}
	c.Call = gateway.Call{
		Step:      step,
		Direction: call.Direction,
		Request: &messages.StepRequest{
			OrderId:        string(o.state.ID),
			Step:           step.GetName(),
			Direction:      call.Direction.Label(),
			IdempotencyKey: messages.IdempotencyKey(o.state.ID, step.GetName(), call.Direction),
			Order:          o.state.Order,
			Results:        results(o.state, call),
		},
		Attempt:      call.Attempt,
		FencingToken: o.state.Last,
		Traceparent:  o.traceparent(),
		Tracestate:   o.driver.Tracestate,
	}
	o.call = c
	failpoint.Pass(failpoint.BeforeCall)
	o.Steps.Do(&c.Call, func(reply *messages.StepReply, err error) {
		c.reply, c.err = reply, err
		c.post(c)
	})
}

// results are the data that a call gets, by step: a do those of the steps before it, an undo those of its own step. Both
// are the same in every attempt: others would change the body of the key.
func results(s *order.State, call order.Call) map[string]string {
	first, end := 0, min(call.Step, len(s.Results))
	if call.Direction == messages.Undo {
		first, end = end, min(call.Step+1, len(s.Results))
	}
	var m map[string]string
	for i, r := range s.Results[first:end] {
		if r.Data == "" {
			continue
		}
		if m == nil {
			m = make(map[string]string, end-first)
		}
		m[s.Plan.Steps[first+i].GetName()] = r.Data
	}
	return m
}

// complete holds the result, unless the driver that made the call was fenced since.
func (c *stepCall) complete() {
	o := c.actor
	if o.call != c {
		return
	}
	failpoint.Pass(failpoint.AfterCall)
	o.call, o.result = nil, &order.CallResult{Call: c.call, Reply: c.reply, Took: o.cfg.Local().Sub(c.started)}
	if c.err != nil && !errors.As(c.err, &o.result.Failure) {
		o.result.Failure = &delivery.Failure{Kind: messages.Transient, Err: c.err}
	}
}

// handleResult journals the result. It is held until that is stored: after a conflict the core decides
// about it again (R4).
func (o *Order) handleResult() {
	events := o.state.HandleReply(*o.result, order.Env{Now: o.cfg.Now(), Hold: o.cfg.Hold, Jitter: o.cfg.Rand()})
	if len(events) == 0 {
		o.result = nil
		return
	}
	o.startAppend(events, (*Order).moved)
}

// retry waits until a failed call is made again.
type retry struct {
	*timer
	call order.Call
}

// waitForRetry waits until the journaled time of the next attempt. The actor keeps the state until then; if the node dies,
// the node that takes the order over makes the call at once.
func (o *Order) waitForRetry() {
	delay := o.state.LastFailure.GetRetryAt().AsTime().Sub(o.cfg.Now())
	if delay > 0 {
		o.retry = &retry{timer: o.startTimer(delay, (*Order).stopRetry), call: o.state.Next().Call}
	}
}

// awaitsRetry reports whether the next move is the call that waits. A change of the next move ends the wait: a cancel, the
// signal of a pending step, or the end of the restart budget.
func (o *Order) awaitsRetry() bool {
	return o.retry != nil && o.giveUp == nil && o.state.Next().Call == o.retry.call
}

func (o *Order) stopRetry() {
	if o.retry != nil {
		o.retry.stop()
		o.retry = nil
	}
}

// dropCall abandons the call in flight, or the wait for it. A call that still waits for a permit is not made, because
// another driver may have made it.
func (o *Order) dropCall() {
	if o.call != nil {
		o.call.Drop()
		o.call = nil
	}
	o.stopRetry()
}
