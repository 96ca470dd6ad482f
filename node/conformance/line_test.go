package conformance_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/node/conformance"
	"github.com/orderly-engine/orderly/node/engine"
)

// transport is how the service is called.
type transport string

const (
	overHTTP transport = "HTTP"
	overNATS transport = "NATS"
)

var both = []transport{overHTTP, overNATS}

// The ends of an order.
const (
	completed = "completed"
	rejected  = "rejected"
	cancelled = "cancelled"
	attention = "attention"
	parked    = "parked"
)

// endTexts are the ends as the table has them.
var endTexts = map[string]string{
	completed: "completed", rejected: "rejected", cancelled: "cancelled", attention: "needs attention", parked: "parks",
}

// section is one table of docs/services.md.
type section struct {
	title string
	lines []line
}

var sections = []section{
	{"Statuses", statusLines},
	{"Bodies", bodyLines},
	{"Connections and subjects", transportLines},
	{"Answers after a call in doubt", doubtLines},
	{"Faults of the set-up", setupLines},
	{"Undo", undoLines},
	{"Keys, moves and restarts", keyLines},
}

// line is one line of the table: what the service answers to the step hostile, and what becomes of the order. The plan has a
// good step before it, which has an undo, and a good step after it, which has none.
type line struct {
	// answer is the first cell.
	answer string
	over   []transport

	// do answers the step, undo its undo, and after the step after it. Without a script they are performed.
	do, undo, after conformance.Script
	// A line with cases runs once for each of these scripts of the step, or of its undo.
	cases, undoCases map[string]conformance.Script

	// step are more lines of the step in the plan; attempts is 3 unless set, timeout a minute.
	step     string
	attempts int
	timeout  string
	// plan replaces the plan. It has a hostile step.
	plan string
	// downstreams is the nodes' file of downstreams, in which AT is the address of the service; target replaces it in the plan.
	downstreams, target string
	// cfg is that of the nodes.
	cfg engine.Config
	// server changes the options of a NATS server of the line's own, on which the node is the user "node".
	server func(*server.Options)
	// last: the step is the last one of the plan, and has no undo.
	last bool

	// acts happen before the end, in their order.
	acts []act
	// end is what becomes of the order; says is contained in its reason, or in that of its attention or park.
	end, says string
	// note is what else there is to say about the end.
	note string
	// events are a regular expression for the kinds of the events.
	events string
	// performed and undone are the effects of the step and of its undo.
	performed, undone int
	// calls are those of the step, and undos those of its undo; 0: any number, none: none.
	calls, undos int

	// check checks what else must hold.
	check func(*bench)
	// run runs the order, for lines with several orders or nodes; acts are then only what the table says.
	run func(*bench)
}

// none is the number of calls of a step that must not be called.
const none = -1

// act is something that happens to an order.
type act struct {
	// on is the kind of the event waited for, and says contained in its detail.
	on, says string
	// what is the act as the table has it, and send does it.
	what string
	send func(*bench)
}

func onAttention(says, what string, send func(*bench)) act {
	return act{on: attention, says: says, what: what, send: send}
}

func onPark(says, what string, send func(*bench)) act {
	return act{on: parked, says: says, what: what, send: send}
}

// cells are those of the line in the table.
func (l line) cells() string {
	var over []string
	for _, t := range l.over {
		over = append(over, string(t))
	}
	var b strings.Builder
	for _, a := range l.acts {
		if a.what == "" {
			continue
		}
		b.WriteString(endTexts[a.on])
		if a.says != "" {
			fmt.Fprintf(&b, ": `%s`", a.says)
		}
		fmt.Fprintf(&b, "; after %s: ", a.what)
	}
	b.WriteString(endTexts[l.end])
	if l.says != "" {
		fmt.Fprintf(&b, ": `%s`", l.says)
	}
	if l.note != "" {
		b.WriteString("; " + l.note)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", l.answer, strings.Join(over, ", "), &b, l.effects())
}

// effects are what the service has in its books at the end.
func (l line) effects() string {
	switch {
	case l.performed > 0 && l.undone > 0:
		return "performed, undone"
	case l.performed > 0:
		return "performed"
	case l.undone > 0:
		return "undone"
	}
	return "–"
}

// variants are the line once for each of its cases, by name.
func (l line) variants() map[string]line {
	all := map[string]line{}
	for name, script := range l.cases {
		v := l
		v.do = script
		all[name] = v
	}
	for name, script := range l.undoCases {
		v := l
		v.undo = script
		all[name] = v
	}
	if len(all) == 0 {
		all[""] = l
	}
	return all
}

// TestLines runs every line.
func TestLines(t *testing.T) {
	n := 0
	for _, s := range sections {
		for _, l := range s.lines {
			n += len(l.variants()) * len(l.over)
		}
	}
	accounts := newAccounts(t, n)
	for _, s := range sections {
		t.Run(s.title, func(t *testing.T) {
			t.Parallel()
			for _, l := range s.lines {
				variants := l.variants()
				for _, name := range slices.Sorted(maps.Keys(variants)) {
					t.Run(strings.TrimSuffix(l.answer+"/"+name, "/"), func(t *testing.T) {
						t.Parallel()
						for _, over := range l.over {
							// A parallel test is kept, with all that its cleanups refer to, until the last one has ended.
							t.Run(string(over), func(t *testing.T) { runLine(t, accounts, variants[name], over) })
						}
					})
				}
			}
		})
	}
}
