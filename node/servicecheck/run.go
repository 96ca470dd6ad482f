package servicecheck

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

const (
	// concurrent is how many calls with one key are made at once.
	concurrent = 8
	// settleAttempts is how often a call that fails temporarily is made.
	settleAttempts = 5
	maxDelay       = 5 * time.Second

	// The fencing tokens of the calls, in their order: a later call has a larger one, a stale call the smallest.
	staleToken  = 10
	firstToken  = 1000
	secondToken = 2000
	thirdToken  = 3000
)

// run is one run of the checks.
type run struct {
	Config
	ctx    context.Context
	caller *Caller
	report *Report
	// performs: the service performs the step for the test orders, instead of rejecting it.
	performs bool
}

// Run checks the service and returns the report. The error is that of a ctx that ended; the report has the checks made before.
func Run(ctx context.Context, caller *Caller, cfg Config) (*Report, error) {
	cfg.withDefaults()
	r := &run{Config: cfg, ctx: ctx, caller: caller, report: &Report{Do: cfg.Do, Undo: cfg.Undo, Orders: string(NewOrderID())}}
	if r.order() {
		r.concurrency()
		r.unknownFields()
		r.neverDone()
	}
	return r.report, ctx.Err()
}

// testCall is a call for the test order with the suffix.
func (r *run) testCall(d messages.Direction, suffix string, token uint64) *gateway.Call {
	c := NewCall(r.step(r.Step), d, r.testOrder(r.report.Orders, suffix), nil)
	c.FencingToken = token
	return c
}

// settle makes a call until its end is not temporary, and at most settleAttempts times.
func (r *run) settle(c *gateway.Call, rewrite func([]byte) []byte) Exchange {
	for delay := r.Delay; ; delay *= 2 {
		x := r.caller.call(r.ctx, c, rewrite)
		if !x.temporary() || c.Attempt == settleAttempts || r.ctx.Err() != nil {
			return x
		}
		after := max(delay, x.Reply.GetRetry().GetAfter().AsDuration())
		if f := x.failure(); f != nil {
			after = max(after, f.RetryAfter)
		}
		select {
		case <-time.After(min(after, maxDelay)):
		case <-r.ctx.Done():
		}
		c = &gateway.Call{Step: c.Step, Direction: c.Direction, Request: c.Request, Attempt: c.Attempt + 1, FencingToken: c.FencingToken}
	}
}

// order checks one order from its do to the do after its undo. It returns false if the service cannot be checked any further.
func (r *run) order() bool {
	do := r.testCall(messages.Do, "a", firstToken)
	first := r.settle(do, nil)
	v := verdict(first.Meaning.Understood)
	if first.Reply.GetRetry() != nil {
		v = Unknown
	}
	r.add(answers, v, first.Came())
	if !first.done() && !first.pending() && !first.rejected() {
		for _, rule := range rules(r.Undo != "")[1:] {
			r.add(rule, Unknown, "not tried, because the first call failed")
		}
		return false
	}
	if r.performs = !first.rejected(); r.performs {
		r.report.Remaining++
	}

	repeat := r.testCall(messages.Do, "a", firstToken+1)
	repeat.Attempt = 2
	again := r.settle(repeat, nil)
	r.add(sameAnswer, verdict(first.agrees(&again)), again.Came())

	other := r.testCall(messages.Do, "a", firstToken+2)
	otherContent(other.Request.Order)
	r.refusal(otherBody, r.caller.Call(r.ctx, other))

	if r.Undo == "" {
		stale := r.testCall(messages.Do, "a", staleToken)
		stale.Step = r.step(r.Step + "_2")
		stale.Request = NewCall(stale.Step, messages.Do, stale.Request.Order, nil).Request
		x := r.caller.Call(r.ctx, stale)
		r.refusal(staleCall, x)
		if x.done() {
			r.report.Remaining++
		}
		return true
	}
	undo := func(token uint64) *gateway.Call {
		c := r.testCall(messages.Undo, "a", token)
		if data := first.Reply.GetDone().GetData(); data != "" {
			c.Request.Results = map[string]string{r.Step: data}
		}
		return c
	}
	r.refusal(staleCall, r.caller.Call(r.ctx, undo(staleToken)))
	r.undo(undoes, undo(secondToken), r.performs)
	r.undo(undoesTwice, undo(secondToken+1), false)
	r.refusal(undoIsFinal, r.caller.Call(r.ctx, r.testCall(messages.Do, "a", thirdToken)))
	return true
}

// undo checks that an undo is done.
func (r *run) undo(rule rule, c *gateway.Call, performed bool) {
	x := r.settle(c, nil)
	v := verdict(x.done())
	if x.pending() {
		v = Unknown
	}
	if x.done() && performed {
		r.report.Remaining--
	}
	r.add(rule, v, x.Came())
}

// refusal checks that a call is refused. That shows nothing if the service rejects the test orders anyway.
func (r *run) refusal(rule rule, x Exchange) {
	v := Unknown
	switch {
	case !r.performs:
	case x.done() || x.pending() || x.unreadable():
		v = Fail
	case x.refused():
		v = OK
	}
	r.add(rule, v, x.Came())
}

// concurrency checks calls with one key that are made at once.
func (r *run) concurrency() {
	all := make([]Exchange, concurrent)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = r.settle(r.testCall(messages.Do, "b", firstToken), nil) })
	}
	wg.Wait()
	settled := slices.DeleteFunc(slices.Clone(all), func(x Exchange) bool { return x.temporary() })
	v, text := Unknown, "no answer but "+all[0].Came()
	if len(settled) > 0 {
		v, text = OK, fmt.Sprintf("%d answers such as %s", len(settled), settled[0].Came())
	}
	for _, x := range settled {
		if !settled[0].agrees(&x) {
			v, text = Fail, settled[0].Came()+", and also "+x.Came()
		}
	}
	r.add(sameAtOnce, v, text)
	r.cleanUp("b", &all[0])
}

// unknownFields checks a request with a field of a later version.
func (r *run) unknownFields() {
	x := r.settle(r.testCall(messages.Do, "c", firstToken), r.addField)
	v := verdict(x.done() || x.pending())
	if x.rejected() && !r.performs {
		v = OK // as without the field
	}
	r.add(laterFields, v, x.Came())
	r.cleanUp("c", &x)
}

// addField adds an unknown field to a request.
func (r *run) addField(body []byte) []byte {
	if r.Encoding == messages.Encoding_ENCODING_PROTOBUF {
		body = protowire.AppendTag(bytes.Clone(body), 1000, protowire.BytesType)
		return protowire.AppendString(body, "unknown")
	}
	return append([]byte(`{"a_later_field": {"of": ["a later version"]}, `), bytes.TrimPrefix(body, []byte("{"))...)
}

// neverDone checks the undo of a step that was never called, and the do that comes after it.
func (r *run) neverDone() {
	if r.Undo == "" {
		return
	}
	r.undo(undoesNothing, r.testCall(messages.Undo, "d", firstToken), false)
	x := r.caller.Call(r.ctx, r.testCall(messages.Do, "d", secondToken))
	r.refusal(lateDo, x)
	r.cleanUp("d", &x)
}

// cleanUp undoes a test order that may be performed.
func (r *run) cleanUp(suffix string, do *Exchange) {
	if do.rejected() {
		return
	}
	r.report.Remaining++
	if r.Undo == "" {
		return
	}
	c := r.testCall(messages.Undo, suffix, secondToken)
	if data := do.Reply.GetDone().GetData(); data != "" {
		c.Request.Results = map[string]string{r.Step: data}
	}
	if x := r.settle(c, nil); x.done() {
		r.report.Remaining--
	}
}

// otherContent changes an order.
func otherContent(o *messages.OrderCreated) {
	if len(o.GetItems()) == 0 {
		o.CustomerId += "-other"
		return
	}
	o.Items = append([]*messages.OrderItem{}, o.Items...)
	o.Items[0] = proto.CloneOf(o.Items[0])
	o.Items[0].Quantity++
	o.TotalAmount = 0
	messages.Normalize(o)
}

func verdict(ok bool) Verdict {
	if ok {
		return OK
	}
	return Fail
}

// add adds a check to the report.
func (r *run) add(rule rule, v Verdict, came string) {
	if r.ctx.Err() != nil {
		return
	}
	c := Check{Name: rule.name, Verdict: v, Tried: rule.tried, Came: came, Why: rule.why}
	switch v {
	case Fail:
		r.report.Failed++
		c.Advice = rule.advice
	case Unknown:
		r.report.Unknown++
		c.Advice = rule.advice
	}
	r.report.Checks = append(r.report.Checks, c)
	r.Each(c)
}
