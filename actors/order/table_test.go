package order_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// tableFile shows the table and the answer to every possible delivery.
const tableFile = "testdata/table.golden"

// TestTable compares the table and all its answers with testdata/table.golden; read it with docs/protocol.md.
func TestTable(t *testing.T) {
	got := writeTable() + "\n" + writeMatrix()
	if *update {
		if err := os.WriteFile(tableFile, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Errorf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
			}
		}
		t.Fatalf("the answers differ from %s: %d lines, want %d; review the difference after go test -run Table -update", tableFile, len(g), len(w))
	}
}

// TestEveryDeliveryHasOneAnswer: no two rows share a name, only the last has no condition, every row is reached, and every
// delivery has an answer.
func TestEveryDeliveryHasOneAnswer(t *testing.T) {
	rows := order.Table()
	seen := map[string]bool{}
	for i, r := range rows {
		if seen[r.Rule] {
			t.Errorf("two rows are %s", r.Rule)
		}
		seen[r.Rule] = true
		if last := i == len(rows)-1; last != (r.When == "anything else") {
			t.Errorf("row %s has the condition %q", r.Rule, r.When)
		}
	}
	reached := map[string]bool{}
	for _, c := range cases() {
		for _, in := range c.inputs {
			decision := order.Receive(in.state, in.delivery, in.env)
			reached[decision.Rule] = true
			if !seen[decision.Rule] || actions[decision.Action] == "" {
				t.Errorf("%s %s, %s: rule %q, action %d", c.status, c.message, c.position, decision.Rule, decision.Action)
			}
		}
	}
	for _, r := range rows {
		if !reached[r.Rule] {
			t.Errorf("row %s (%s) is never reached", r.Rule, r.When)
		}
	}
}

func writeTable() string {
	var b strings.Builder
	b.WriteString("THE TABLE: the first row whose facts are true decides\n\n")
	for _, r := range order.Table() {
		fmt.Fprintf(&b, "%-14s  %-51s  %s\n", r.Rule, r.When, strings.Join(answersOf(r.Rule), " or "))
	}
	return b.String()
}

// answersOf are the different actions that the rule answers with.
func answersOf(rule string) []string {
	var all []string
	for _, c := range cases() {
		for _, in := range c.inputs {
			d := order.Receive(in.state, in.delivery, in.env)
			if text := actions[d.Action] + kinds(d.Events); d.Rule == rule && !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all
}

func kinds(events []*messages.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(" " + messages.KindOf(e))
	}
	return b.String()
}

// writeMatrix formats the answer to every case. Circumstances that make no difference are left out, and equal answers share a
// line.
func writeMatrix() string {
	var b strings.Builder
	b.WriteString("EVERY DELIVERY, by status of the order: position of the message | message | other facts | rule: answer\n")
	type block struct {
		statuses []string
		lines    []string
	}
	var blocks []block
	for _, status := range statuses {
		lines := linesOf(status)
		if i := slices.IndexFunc(blocks, func(x block) bool { return slices.Equal(x.lines, lines) }); i >= 0 {
			blocks[i].statuses = append(blocks[i].statuses, status.String())
			continue
		}
		blocks = append(blocks, block{[]string{status.String()}, lines})
	}
	for _, x := range blocks {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(x.statuses, ", "))
		for _, line := range x.lines {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

func linesOf(status order.Status) []string {
	type line struct {
		messages         []string
		position, answer string
	}
	var lines []line
	for _, c := range cases() {
		if c.status != status {
			continue
		}
		for _, answer := range answersFrom(c.inputs, 0) {
			i := slices.IndexFunc(lines, func(l line) bool { return l.position == c.position && l.answer == answer })
			if i < 0 {
				i, lines = len(lines), append(lines, line{nil, c.position, answer})
			}
			lines[i].messages = append(lines[i].messages, c.message)
		}
	}
	var text []string
	for _, l := range lines {
		text = append(text, fmt.Sprintf("%-8s | %s | %s", l.position, strings.Join(l.messages, ", "), l.answer))
	}
	return text
}

// answersFrom formats the answers to inputs, which differ in their circumstances from that depth on.
func answersFrom(inputs []input, depth int) []string {
	if depth == len(inputs[0].known) {
		d := order.Receive(inputs[0].state, inputs[0].delivery, inputs[0].env)
		return []string{fmt.Sprintf("%s: %s", d.Rule, writeDecision(d, inputs[0].delivery.Type))}
	}
	type branch struct {
		values  []string
		answers []string
	}
	var branches []branch
	for _, value := range distinct(inputs, depth) {
		answers := answersFrom(slices.DeleteFunc(slices.Clone(inputs), func(in input) bool { return in.known[depth] != value }), depth+1)
		if i := slices.IndexFunc(branches, func(b branch) bool { return slices.Equal(b.answers, answers) }); i >= 0 {
			branches[i].values = append(branches[i].values, value)
			continue
		}
		branches = append(branches, branch{[]string{value}, answers})
	}
	if len(branches) == 1 {
		return branches[0].answers
	}
	var lines []string
	for _, b := range branches {
		for _, a := range b.answers {
			join := " | "
			if strings.Contains(a, " | ") {
				join = ", "
			}
			lines = append(lines, strings.Join(b.values, " or ")+join+a)
		}
	}
	return lines
}

func distinct(inputs []input, depth int) []string {
	var values []string
	for _, in := range inputs {
		if !slices.Contains(values, in.known[depth]) {
			values = append(values, in.known[depth])
		}
	}
	return values
}

func writeDecision(d order.Decision, about messages.Type) string {
	return strings.ReplaceAll(describe(d), string(about), "TYPE") + kinds(d.Events)
}

// oneCase is a message about an order in some status, with every combination of other facts.
type oneCase struct {
	status            order.Status
	message, position string
	inputs            []input
}

type input struct {
	state    *order.State
	delivery *delivery.Delivery
	env      order.Env
	// known names the facts, one word for each dimension.
	known []string
}

var statuses = []order.Status{
	order.None, order.Running, order.Compensating, order.Parked, order.Attention, order.Completed, order.Rejected, order.Cancelled,
}

// cases are all possible ones. In each the accepted message is 5, and the messages up to 4 are recorded.
func cases() []oneCase {
	var all []oneCase
	for _, status := range statuses {
		for _, m := range []struct {
			name     string
			recorded uint64
			make     func() *delivery.Delivery
		}{
			{"created", 5, func() *delivery.Delivery { return created(7, "a") }},
			{"created invalid", 5, func() *delivery.Delivery {
				d := created(7, "a")
				d.Invalid = errors.New("items is empty")
				return d
			}},
			{"created again", 3, func() *delivery.Delivery { return created(7, "a") }},
			{"created with other content", 3, func() *delivery.Delivery {
				d := created(7, "a")
				d.Created = content("c-2")
				return d
			}},
			{"cancel", 4, func() *delivery.Delivery { return newDelivery(messages.TypeCancel, 7, "a") }},
			{"signal", 4, func() *delivery.Delivery { return newDelivery(messages.TypeSignal, 7, "a") }},
			{"awaited signal", 4, func() *delivery.Delivery { return signalNamed(7, awaited) }},
			{"excess signal", 4, func() *delivery.Delivery { return signalNamed(7, strings.Repeat("s", order.MaxKeptBytes+1)) }},
			{"retry", 4, func() *delivery.Delivery { return newDelivery(messages.TypeRetry, 7, "a") }},
			{"skip", 4, func() *delivery.Delivery { return newDelivery(messages.TypeSkip, 7, "a") }},
		} {
			first, again := m.recorded == 5, m.recorded == 3
			for _, position := range []string{"new", "early", "recorded", "driver", "owner"} {
				d := m.make()
				s := state(status)
				switch {
				case position == "new" && status != order.None && first, position != "new" && status == order.None, again && status == order.None:
					continue
				case position == "early":
					if d.Type == messages.TypeCreated {
						continue
					}
					// Published before the order's created message.
					s.Accepted = 8
				case position != "new":
					d.Sequence = m.recorded
				}
				if position == "driver" || position == "owner" {
					if again || !drives(s, d, position) {
						continue
					}
				}
				all = append(all, oneCase{status, m.name, position, inboxInputs(s, d)})
			}
		}
		for _, position := range []string{"new", "driver", "owner"} {
			d, s := newDelivery(messages.TypeWake, 9, "a"), state(status)
			if position == "new" || drives(s, d, position) {
				all = append(all, oneCase{status, "wake", position, wakeInputs(s, d)})
			}
		}
	}
	return all
}

// awaited is the name of the signal that the parked order waits for.
const awaited = "paid"

func signalNamed(seq uint64, name string) *delivery.Delivery {
	d := newDelivery(messages.TypeSignal, seq, "a")
	d.Signal.Name = name
	return d
}

// state is an order in that status which the message 5 created.
func state(status order.Status) *order.State {
	if status == order.None {
		return &order.State{}
	}
	s := &order.State{ID: id, Status: status, Last: 40, Number: 4, Order: content("c-1"), Plan: planOf(step("reserve", true)), Accepted: 5, Watermark: 4}
	switch {
	case status.Driven():
		s.Driver, s.Owner = order.Source{Stream: inbox, Sequence: 2}, "z"
	case status == order.Parked:
		s.Park, s.ParkedUntil = 40, epoch.Add(time.Hour)
		s.Pending = &messages.StepPending{Step: "reserve", Signal: awaited}
	}
	return s
}

// drives makes d the driver of s, and its owner, and reports whether there can be one.
func drives(s *order.State, d *delivery.Delivery, position string) bool {
	if !s.Status.Driven() {
		return false
	}
	s.Driver = order.SourceOf(d)
	if position == "owner" {
		s.Owner = d.Incarnation
	}
	return true
}

// ages are how long a message has been stored, how long this node has had it, and how often it was delivered.
var ages = []struct {
	name           string
	stored, having time.Duration
	deliveries     uint64
}{
	{"young", 0, 0, 1}, {"young and delivered before", 0, 0, 2}, {"old", -2 * time.Minute, 0, 2},
	{"old and long held", -2 * time.Minute, -2 * time.Second, 2},
}

func inboxInputs(s *order.State, d *delivery.Delivery) []input {
	var all []input
	for _, predecessors := range []struct {
		name  string
		value order.Predecessors
	}{{"predecessors unknown", order.PredecessorsUnknown}, {"behind another", order.PredecessorsPending}, {"first in the inbox", order.PredecessorsNone},
		{"before its created message", order.PredecessorsNoneCreatedFollows}} {
		if predecessors.value == order.PredecessorsNoneCreatedFollows && s.Status != order.None {
			continue
		}
		for _, age := range ages {
			for _, inbox := range inboxes(s, d) {
				aged := *d
				aged.Stored, aged.Received, aged.Deliveries = epoch.Add(age.stored), epoch.Add(age.having), age.deliveries
				e := order.Env{Plan: planOf(step("reserve", true)), Now: epoch, UnknownAge: time.Minute, Predecessors: predecessors.value, Inbox: inbox.found}
				all = append(all, input{s, &aged, e, []string{predecessors.name, age.name, inbox.name}})
			}
		}
	}
	return all
}

type foundInbox struct {
	name  string
	found []*delivery.Delivery
}

// inboxes are what the inbox may store about a new order; of others it is not read.
func inboxes(s *order.State, d *delivery.Delivery) []foundInbox {
	all := []foundInbox{{"inbox not read", nil}}
	if s.Status != order.None || d.Type != messages.TypeCreated || d.Invalid != nil {
		return all
	}
	signal, cancel := newDelivery(messages.TypeSignal, 8, ""), newDelivery(messages.TypeCancel, 9, "")
	return append(all, foundInbox{"alone in the inbox", []*delivery.Delivery{d}}, foundInbox{"with a signal", []*delivery.Delivery{d, signal}},
		foundInbox{"with a cancel", []*delivery.Delivery{d, signal, cancel}})
}

func wakeInputs(s *order.State, d *delivery.Delivery) []input {
	var all []input
	for _, park := range []struct {
		name string
		id   uint64
	}{{"of the last entry", 40}, {"of an entry before", 30}, {"of an entry not read", 50}} {
		for _, clock := range []struct {
			name string
			now  time.Time
		}{{"early", epoch}, {"due", epoch.Add(time.Hour)}} {
			for _, age := range ages {
				aged := *d
				aged.Park, aged.Stored, aged.Received = park.id, clock.now.Add(age.stored), clock.now.Add(age.having)
				e := order.Env{Plan: planOf(step("reserve", true)), Now: clock.now, UnknownAge: time.Minute}
				all = append(all, input{s, &aged, e, []string{park.name, clock.name, age.name}})
			}
		}
	}
	return all
}
