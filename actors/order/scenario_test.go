package order_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/internal/ordertest"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

var update = flag.Bool("update", false, "write what the core answers into testdata/*.txt; read the difference before committing it")

// TestScenarios plays testdata/*.txt, whose language testdata/README.md describes.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	rules := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := scenarioOf(t, rules)
			lines := strings.Split(string(text), "\n")
			for i, line := range lines {
				input, want, expects := strings.Cut(line, "=>")
				words := strings.Fields(input)
				if len(words) == 0 || strings.HasPrefix(words[0], "#") {
					continue
				}
				if words[0] == "scenario" {
					s.replay()
					s = scenarioOf(t, rules)
					continue
				}
				got := s.play(words)
				if got == strings.TrimSpace(want) && expects == (got != "") {
					continue
				}
				if !*update {
					t.Errorf("%s:%d: %s\n got %s\nwant %s", file, i+1, strings.TrimSpace(input), got, strings.TrimSpace(want))
					continue
				}
				lines[i] = strings.TrimRight(input, " ")
				if got != "" {
					lines[i] = fmt.Sprintf("%-42s => %s", lines[i], got)
				}
			}
			s.replay()
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for _, r := range order.Table() {
		if !rules[r.Rule] {
			t.Errorf("no scenario comes to row %s (%s)", r.Rule, r.When)
		}
	}
}

// scenario is one order, its journal, and at most one call in progress.
type scenario struct {
	t       *testing.T
	history *history
	plan    *messages.Plan
	now     time.Time
	call    *order.Call
	// lost: the reply of the append gets lost.
	lost bool
	// lifetime is how long the services remember a key.
	lifetime time.Duration
	// rules are those that decided, in all scenarios.
	rules map[string]bool
}

func newScenario(t *testing.T) *scenario { return scenarioOf(t, map[string]bool{}) }

// scenarioOf is a new scenario that notes the rules that decide.
func scenarioOf(t *testing.T, rules map[string]bool) *scenario {
	return &scenario{t: t, history: newHistory(), plan: planOf(), now: epoch, rules: rules, lifetime: 24 * time.Hour}
}

// replay checks that the fold of the entries is the state of the scenario (I7).
func (s *scenario) replay() {
	if d := ordertest.Difference(s.history.state, s.history.fold(s.t, len(s.history.entries))); d != "" {
		s.t.Errorf("replayed history differs: %s", d)
	}
	s.history.checkRestore(s.t)
	s.history.checkSnapshots(s.t)
}

// apply handles one input and returns its result.
func (s *scenario) play(words []string) string {
	refused := words[0] == "conflict"
	s.lost = words[0] == "lost"
	if refused || s.lost {
		words = words[1:]
	}
	args := words[1:]
	switch words[0] {
	case "step":
		s.plan.Steps = append(s.plan.Steps, s.step(args))
		return ""
	case "at":
		s.now = epoch.Add(s.duration(args[0]))
		return ""
	case "crash":
		s.call = nil
		return ""
	case "deliver":
		return s.deliver(args, refused)
	case "next":
		move := s.history.state.Next()
		if len(move.Events) == 0 {
			move.Events = s.history.state.Forgotten(move.Call, "inventory", s.lifetime, s.now)
		}
		if len(move.Events) > 0 {
			return s.journal("append", move.Events, refused)
		}
		s.call = &move.Call
		return "call " + s.writeCall(move.Call)
	case "answer", "fail", "defer":
		return s.finishCall(words, refused)
	case "giveup":
		return s.journal("append", s.history.state.GiveUp(&delivery.Failure{Kind: messages.Defect, Err: errors.New("panic: oh")}), refused)
	case "show":
		return s.show(args)
	}
	s.t.Fatalf("unknown input %q", words[0])
	return ""
}

// journal stores the events as one entry, unless the append is refused, and returns the status after it.
func (s *scenario) journal(verb string, events []*messages.Event, refused bool) string {
	text := verb + " " + write(events)
	if refused {
		return text + " -> conflict"
	}
	if err := s.history.append(s.now, events...); err != nil {
		return text + " -> " + err.Error()
	}
	return text + " -> " + s.history.state.Status.String()
}

func (s *scenario) deliver(args []string, refused bool) string {
	env := order.Env{Plan: s.plan, Now: s.now, UnknownAge: time.Minute, Predecessors: order.PredecessorsNone}
	d := s.delivery(args, &env)
	decision := order.Receive(s.history.state, d, env)
	s.rules[decision.Rule] = true
	text := decision.Rule + ": " + describe(decision)
	if decision.Action == order.AppendAndDrive || decision.Action == order.AppendAndAck {
		return s.journal(text, decision.Events, refused)
	}
	return text
}

// describe is the action with its delay or reason.
func describe(d order.Decision) string {
	switch text := actions[d.Action]; d.Action {
	case order.Redeliver:
		return text + " in " + d.Delay.String()
	case order.Stash, order.Await:
		return text + " for " + d.Delay.String()
	case order.DeadLetter:
		return text + ": " + d.Reason
	default:
		return text
	}
}

var actions = map[order.Action]string{
	order.Ack: "ack", order.Drive: "drive", order.AppendAndDrive: "append+drive", order.AppendAndAck: "append+ack", order.Reschedule: "reschedule",
	order.Redeliver: "redeliver", order.Await: "await", order.Stash: "stash", order.DeadLetter: "dead letter", order.Drop: "drop", order.CheckPredecessors: "check predecessors",
	order.ReadInbox: "read inbox",
}

// delivery reads TYPE [NAME|PARK] SEQUENCE/INCARNATION [OPTION…]; options may be about env.
func (s *scenario) delivery(args []string, env *order.Env) *delivery.Delivery {
	kind, rest, name := messages.Type("order."+args[0]), args[1:], ""
	if kind == messages.TypeSignal || kind == messages.TypeWake {
		name, rest = rest[0], rest[1:]
	}
	seq, incarnation, ok := strings.Cut(rest[0], "/")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || !ok {
		s.t.Fatalf("%q is not sequence/incarnation", rest[0])
	}
	d := newDelivery(kind, n, incarnation)
	switch kind {
	case messages.TypeCreated:
		d.Created = content("c-1")
	case messages.TypeSignal:
		d.Signal.Name, d.Signal.Data = name, strconv.Quote(seq)
	case messages.TypeWake:
		if d.Park, err = strconv.ParseUint(name, 10, 64); err != nil {
			s.t.Fatalf("park %q is not a number", name)
		}
	}
	d.Received = s.now
	for _, option := range rest[1:] {
		if step, ok := strings.CutPrefix(option, "of:"); ok {
			d.Skip = &messages.SkipStep{}
			d.Skip.Step, d.Skip.Direction, _ = strings.Cut(step, "/")
			continue
		}
		if had, ok := strings.CutPrefix(option, "had:"); ok {
			d.Received = s.now.Add(-s.duration(had))
			continue
		}
		if n, ok := strings.CutPrefix(option, "times:"); ok {
			if d.Deliveries, err = strconv.ParseUint(n, 10, 64); err != nil {
				s.t.Fatalf("%q is no number of deliveries", n)
			}
			continue
		}
		if found, ok := strings.CutPrefix(option, "found:"); ok {
			env.Inbox = s.found(found)
			continue
		}
		switch option {
		case "late":
			d.Stored = s.now.Add(-3 * time.Second)
		case "again":
			d.Deliveries = 2
		case "crowd":
			env.StashFull = true
		case "searching":
			env.SearchFull = true
		case "others":
			env.OthersWait = true
		case "follows":
			env.Predecessors = order.PredecessorsNoneCreatedFollows
		case "searched":
			env.SearchedAt = s.now.Add(-2 * time.Second)
		case "since":
			d.Unreceivable = s.now.Sub(d.Stored)
		case "different":
			d.Created = content("c-2")
		case "invalid":
			d.Invalid = errors.New("items is empty")
		case "unchecked":
			env.Predecessors = order.PredecessorsUnknown
		case "behind":
			env.Predecessors = order.PredecessorsPending
		case "large":
			d.Signal.Data = strconv.Quote(strings.Repeat("x", order.MaxKeptBytes))
		case "held":
			d.Received = s.now.Add(-2 * time.Second)
		default:
			s.t.Fatalf("unknown option %q", option)
		}
	}
	return d
}

// found reads TYPE/SEQUENCE[@TIME],…: messages that the inbox stores, and when they were stored, 0 unless given.
func (s *scenario) found(text string) []*delivery.Delivery {
	all := []*delivery.Delivery{}
	for word := range strings.SplitSeq(text, ",") {
		word, at, stored := strings.Cut(word, "@")
		kind, seq, ok := strings.Cut(word, "/")
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil || !ok {
			s.t.Fatalf("%q is not type/sequence", word)
		}
		d := newDelivery(messages.Type("order."+kind), n, "")
		if d.Signal != nil {
			d.Signal.Name, d.Signal.Data = "paid", strconv.Quote(seq)
		}
		if stored {
			d.Stored = epoch.Add(s.duration(at))
		}
		all = append(all, d)
	}
	return all
}

func (s *scenario) finishCall(words []string, refused bool) string {
	if s.call == nil {
		s.t.Fatalf("%v: no call is in progress", words)
	}
	r := order.CallResult{Call: *s.call, Took: time.Millisecond}
	switch args := words[1:]; {
	case words[0] == "fail":
		r.Failure = s.failure(args)
	case words[0] == "defer":
		r.Failure = s.failure(append([]string{"transient"}, args[1:]...))
		r.Failure.Deferral = &delivery.Deferral{Reason: "it is out", Until: s.now.Add(s.duration(args[0]))}
	case args[0] == "done":
		r.Reply = doneReply()
	case args[0] == "rejected":
		r.Reply = rejectedReply(args[1])
	case args[0] == "pending":
		deadline := time.Time{}
		if len(args) > 2 {
			deadline = epoch.Add(s.duration(args[2]))
		}
		r.Reply = pendingReply(args[1], deadline)
	case args[0] == "retry":
		r.Reply = retryReply(s.duration(args[1]))
	case args[0] == "nothing":
		r.Reply = &messages.StepReply{}
	default:
		s.t.Fatalf("unknown answer %q", args[0])
	}
	events := s.history.state.HandleReply(r, order.Env{Now: s.now, Hold: 10 * time.Second, Jitter: 1})
	if len(events) == 0 {
		s.call = nil
		return "obsolete"
	}
	text := s.journal("append", events, refused)
	if !refused && !s.lost {
		s.call = nil
	}
	return text
}

// failure reads KIND [CODE] [doubt|dropped]
func (s *scenario) failure(args []string) *delivery.Failure {
	f := unavailable(kindOf(args[0]))
	for _, option := range args[1:] {
		switch option {
		case "doubt":
			f.InDoubt = true
		case "dropped":
			f.Done = true
		default:
			f.Code = option
		}
	}
	return f
}

func (s *scenario) writeCall(c order.Call) string {
	text := fmt.Sprintf("%s/%s %d", s.history.state.Plan.Steps[c.Step].GetName(), c.Direction.Label(), c.Attempt)
	if c.ResolvesDoubt {
		text += " resolves doubt"
	}
	return text
}

// show formats single facts of the state.
func (s *scenario) show(facts []string) string {
	st := s.history.state
	var words []string
	for _, f := range facts {
		var v any
		switch f {
		case "status":
			v = st.Status
		case "driver":
			v = fmt.Sprintf("%d/%s", st.Driver.Sequence, st.Owner)
		case "accepted":
			v = st.Accepted
		case "watermark":
			v = st.Watermark
		case "park":
			v = st.Park
		case "done":
			v = st.Done()
		case "signals":
			v = len(st.Signals)
		case "attempts":
			v = fmt.Sprintf("%d/%d", st.Attempts, st.Spent)
		case "takeovers":
			v = st.Takeovers
		case "performed":
			v = st.Performed
		case "doubt":
			if v = "none"; !st.InDoubtSince.IsZero() {
				v = "since " + st.InDoubtSince.Sub(epoch).String()
			}
		case "end":
			v = st.End
		default:
			s.t.Fatalf("unknown fact %q", f)
		}
		words = append(words, fmt.Sprintf("%s:%v", f, v))
	}
	return strings.Join(words, " ")
}

func (s *scenario) step(args []string) *messages.Step {
	st := step(args[0], false)
	for _, option := range args[1:] {
		switch option {
		case "undo":
			st.Undo = "sim:"
		case "tombstone":
			st.Undo, st.InDoubt = "sim:", messages.InDoubt_IN_DOUBT_UNDO
		case "attempts:1":
			st.Retry.Attempts = 1
		case "nothing:gone":
			st.NothingToUndo = []string{"404", "gone"}
		default:
			s.t.Fatalf("unknown option %q of a step", option)
		}
	}
	return st
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func kindOf(word string) messages.FailureKind {
	for k := range messages.FailureKind_name {
		if kind := messages.FailureKind(k); kind.Label() == word {
			return kind
		}
	}
	return 0
}
