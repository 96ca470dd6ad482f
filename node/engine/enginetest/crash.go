package enginetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/timeline"
)

// maxReported is how many failing runs are reported in full.
const maxReported = 3

// Case is an order and the external state that its steps act on.
type Case struct {
	Plan engine.Plan
	// Order defaults to order o-1, of one item.
	Order engine.Order
	// State returns what the steps have done so far: rows of a table, the balance of an account. Values are compared by their
	// JSON form, unexported fields do not count. It must be the first value again when all steps are undone.
	State func() any
	// Script sends messages other than the order's, as in
	//
	//	func(env *enginetest.Env) { env.Run(); env.Signal("o-1", "paid", nil) }
	//
	// Nil: none.
	Script func(*Env)

	answered answeredFunc
}

// CrashEverywhere runs the order of the case to its end once without a crash, and then once for each point at which a
// node can die: before and after each journal append, step call, timer and acknowledgement. Another node continues. At each
// point it also tries what happens if
//
//   - the order is cancelled while no node runs, and the next node dies too, at any point of the compensation;
//   - the call that was in flight arrives late, when the order has ended.
//
// The test fails if an order does not end as it does without a crash (or as cancelled), if any key acts twice, if a late call
// acts, if undos do not run in reverse, or if they leave anything done.
//
// Setup makes a new case, with new fakes, for each run; it is called inside a synctest bubble.
func CrashEverywhere(t *testing.T, setup func() Case) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		crashEverywhere(t, setup)
	})
}

func crashEverywhere(t testing.TB, setup func() Case) {
	t.Helper()
	c := &crasher{t: t, setup: setup, system: newSystem()}
	defer c.system.Shutdown()
	c.base = c.run(crash{})
	if !c.checkBase() {
		return
	}
	points := c.base.env.points
	for n := range points {
		c.try(crash{at: []int{n}})
	}
	longest := c.base
	for n := range points {
		if r := c.try(crash{at: []int{n}, cancel: true}); len(longest.at) == 0 || len(r.env.points) > len(longest.env.points) {
			longest = r
		}
	}
	for n := longest.at[0] + 1; n < len(longest.env.points); n++ {
		c.try(crash{at: []int{longest.at[0], n}, cancel: true})
	}
	for n, point := range points {
		if strings.HasPrefix(point, "before the call") {
			c.try(crash{at: []int{n}, late: true})
			c.try(crash{at: []int{n}, cancel: true, late: true})
		}
	}
	if more := c.failed - maxReported; more > 0 {
		t.Errorf("enginetest: %d more of %d runs failed", more, c.runs)
	}
	t.Logf("enginetest: %d runs, %d points at which a node can die", c.runs, len(c.base.env.points))
}

// crash is the sequence of faults in a run: a node dies at each of the points; the order is cancelled while no node runs after
// the first; the call that the first was about to make arrives in the end.
type crash struct {
	at           []int
	cancel, late bool
}

// crasher runs a case repeatedly.
type crasher struct {
	t      testing.TB
	setup  func() Case
	system *actor.ActorSystem
	// base is the run without a crash.
	base         *run
	runs, failed int
}

// run is one run with its result.
type run struct {
	crash
	env  *Env
	view *timeline.View
	// first and last are the state before the order and in the end.
	first, last string
	// effects are the calls that changed the state, the first inTime of them before the order ended.
	effects []effect
	inTime  int
}

type effect struct {
	call          *Call
	before, after string
}

func (c *crasher) run(what crash) *run {
	c.t.Helper()
	c.runs++
	cs := c.setup()
	if cs.State == nil {
		c.t.Fatal("enginetest: Case.State is missing: without it the effects of steps cannot be checked")
	}
	if cs.Order.ID == "" {
		cs.Order = engine.Order{ID: "o-1", CustomerID: "c-1", Items: []engine.Item{{ProductID: "p-1", Quantity: 1, UnitPrice: 1}}}
	}
	state := func() string {
		body, err := json.Marshal(cs.State())
		if err != nil {
			c.t.Fatalf("enginetest: Case.State: %v", err)
		}
		return string(body)
	}
	r := &run{crash: what, env: newEnv(c.t, cs.Plan, c.system), first: state()}
	defer r.env.stopNode()
	r.env.killAt, r.env.answered = what.at, cs.answered
	r.env.around = func(call *Call, f func()) {
		before := state()
		f()
		if after := state(); after != before {
			r.effects = append(r.effects, effect{call, before, after})
		}
	}
	if what.cancel {
		r.env.onKill = func() { r.env.Cancel(cs.Order.ID, "no longer wanted") }
	}
	r.env.Create(cs.Order)
	if cs.Script != nil {
		cs.Script(r.env)
	}
	r.env.Run()
	r.view, r.inTime = r.env.view(messages.OrderID(cs.Order.ID)), len(r.effects)
	if what.late {
		r.env.deliverLost()
	}
	r.last = state()
	return r
}

// deliverLost makes the call that a node was killed before.
func (e *Env) deliverLost() {
	if e.lost == nil {
		return
	}
	set := gateway.New(nil, gateway.Config{Functions: e.functions})
	defer set.Close()
	set.Do(&gateway.Call{Step: e.lost.Step, Direction: e.lost.Direction, Request: e.lost.Request}, func(*messages.StepReply, error) {})
	synctest.Wait()
}

// try runs the case with the crash and reports a violation.
func (c *crasher) try(what crash) *run {
	c.t.Helper()
	r := c.run(what)
	if problem := c.check(r); problem != "" {
		if c.failed++; c.failed <= maxReported {
			c.t.Errorf("enginetest: %s: %s\n%s", r.describe(), problem, r.env.log())
		}
	}
	return r
}

// describe lists the faults of the run.
func (r *run) describe() string {
	var b strings.Builder
	for i, n := range r.at {
		if i > 0 {
			b.WriteString(", and again ")
		}
		fmt.Fprintf(&b, "node killed %s (point %d of %d)", r.env.points[n], n+1, len(r.env.points))
		if i == 0 && r.cancel {
			b.WriteString(", order cancelled while no node ran")
		}
	}
	if r.late {
		b.WriteString(", its last call arrives when the order has ended")
	}
	return b.String()
}

// checkBase reports whether the run without a crash is valid as a reference.
func (c *crasher) checkBase() bool {
	c.t.Helper()
	var problem string
	switch r := c.base; {
	case !r.view.Ended():
		problem = "the order is " + r.view.Status + because(r.view) + ": it has to end; a Script can send what it waits for"
	case len(r.effects) == 0:
		problem = "Case.State is the same before and after every call: it must include the effects of the steps"
	default:
		problem = c.check(r)
	}
	if problem != "" {
		c.t.Errorf("enginetest: without a crash: %s\n%s", problem, c.base.env.log())
	}
	return problem == ""
}

// check describes a violation in a run, or returns "".
func (c *crasher) check(r *run) string {
	status := r.view.Status
	if !r.view.Ended() {
		return "the order does not end: it is " + status + because(r.view)
	}
	if status != c.base.view.Status && (!r.cancel || status != "cancelled") {
		return fmt.Sprintf("the order ends as %s%s; without a crash it ends as %s", status, because(r.view), c.base.view.Status)
	}
	acted := map[string]effect{}
	for i, e := range r.effects {
		first, again := acted[e.call.Key]
		switch {
		case i >= r.inTime && status != "completed":
			return fmt.Sprintf("the late call of %s acted: the state went from %s to %s.\n"+
				"Store every key permanently, also after the undo: a key that was undone must not act again.", e.call.Name, e.before, e.after)
		case again:
			return fmt.Sprintf("key %s acted twice: the state went from %s to %s, then from %s to %s.\n"+
				"Store the key with the effect. When a call has it again, do not act, and return the first result.",
				e.call.Key, first.before, first.after, e.before, e.after)
		}
		acted[e.call.Key] = e
	}
	if status == c.base.view.Status && r.last != c.base.last {
		return fmt.Sprintf("the state is %s in the end; without a crash it is %s", r.last, c.base.last)
	}
	if status == "completed" {
		return ""
	}
	return r.checkUndone()
}

// checkUndone describes a step that a rejected or cancelled order left done or undid in the wrong order, or returns "".
func (r *run) checkUndone() string {
	done, undone, complete := []string{}, []string{}, true
	for _, e := range r.effects {
		step, direction, _ := strings.Cut(e.call.Name, "/")
		switch {
		case direction == messages.Undo.Label():
			undone = append(undone, step)
		case r.undo(step):
			done = append(done, step)
		default:
			complete = false
		}
	}
	for _, step := range done {
		if !slices.Contains(undone, step) {
			return fmt.Sprintf("the order ends as %s, and %s/undo did not undo what %s/do did: the state is %s, it was %s before the order.\n"+
				"The result of a call may be lost: an undo must find what to undo by the order's id, not by the result alone.",
				r.view.Status, step, step, r.last, r.first)
		}
	}
	slices.Reverse(done)
	if undone = slices.DeleteFunc(undone, func(s string) bool { return !slices.Contains(done, s) }); !slices.Equal(done, undone) {
		return fmt.Sprintf("steps were undone in the order %s, want %s", strings.Join(undone, ", "), strings.Join(done, ", "))
	}
	if complete && r.last != r.first {
		return fmt.Sprintf("the order ends as %s with everything undone: the state is %s, it was %s before the order", r.view.Status, r.last, r.first)
	}
	return ""
}

// undo reports whether the step can be undone.
func (r *run) undo(step string) bool {
	return slices.ContainsFunc(r.env.plan.GetSteps(), func(s *messages.Step) bool { return s.GetName() == step && s.GetUndo() != "" })
}
