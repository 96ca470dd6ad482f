package enginetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// Order returns the state and history of an order.
func (e *Env) Order(id string) *timeline.View {
	e.t.Helper()
	v := e.view(messages.OrderID(id))
	if v.Status == "" {
		e.t.Fatalf("enginetest: order %s does not exist: Create it and Run", id)
	}
	return v
}

// view is empty if there is no order.
func (e *Env) view(id messages.OrderID) *timeline.View {
	entries := e.journal.History(id)
	if len(entries) == 0 {
		return &timeline.View{}
	}
	v, err := timeline.New(entries)
	if err != nil {
		e.t.Fatalf("enginetest: %v", err)
	}
	return v
}

// WantStatus fails the test unless the order has the status: running, compensating, parked, attention, completed, rejected
// or cancelled.
func (e *Env) WantStatus(id, want string) {
	e.t.Helper()
	if v := e.Order(id); v.Status != want {
		e.t.Errorf("order %s is %s, want %s%s\n%s", id, v.Status, want, because(v), e.log())
	}
}

// because returns the reason for the order's status, if there is one.
func because(v *timeline.View) string {
	for _, reason := range []string{v.Reason, v.WaitsFor, v.LastError} {
		if reason != "" {
			return ": " + reason
		}
	}
	return ""
}

// WantCalls fails the test unless the calls made for an order so far have these names, as in "reserve/do", "reserve/undo".
func (e *Env) WantCalls(id string, want ...string) {
	e.t.Helper()
	var got []string
	for _, c := range e.Calls(id) {
		got = append(got, c.Name)
	}
	if !slices.Equal(got, want) {
		e.t.Errorf("order %s: calls\n  %s\nwant\n  %s\n%s", id, strings.Join(got, " "), strings.Join(want, " "), e.log())
	}
}

// log lists the calls, one per line.
func (e *Env) log() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var b strings.Builder
	b.WriteString("calls:\n")
	for _, c := range e.calls {
		fmt.Fprintf(&b, "  %s\n", c)
	}
	return b.String()
}
