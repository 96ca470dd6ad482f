package replay_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// stricter are the rules that only this fold holds a history to.
var stricter = []string{"(R3.7)", "(R4c)", "skipped, and no skip", "a recorded cancel, and only that", "no cancel was recorded"}

// TestFoldsAgree compares both folds on random histories: an entry that this fold accepts the engine's accepts too, with the
// same state; one that it refuses the engine's refuses, except by the stricter rules.
func TestFoldsAgree(t *testing.T) {
	ends := map[replay.Status]int{}
	missing := func(s replay.Status) bool { return ends[s] == 0 }
	for range maxRounds {
		compareRandomHistories(t, ends)
		if !slices.ContainsFunc(statuses, missing) {
			return
		}
	}
	t.Errorf("no history ends %s: %v", slices.DeleteFunc(statuses, func(s replay.Status) bool { return !missing(s) }), ends)
}

// maxRounds bounds the rounds of random histories in which every status is to be the last one of a history. In one round
// completed, the rarest, is missing in one of four.
const maxRounds = 20

var statuses = []replay.Status{replay.Running, replay.Compensating, replay.Parked, replay.Attention, replay.Completed, replay.Rejected, replay.Cancelled}

// compareRandomHistories compares both folds on one round of histories, and counts the statuses in which these end.
func compareRandomHistories(t *testing.T, ends map[replay.Status]int) {
	rapid.Check(t, func(t *rapid.T) {
		var history []*messages.JournalEntry
		own := &replay.Order{}
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			candidates := candidates(t, own)
			if rapid.IntRange(0, 3).Draw(t, "legal") > 0 {
				candidates = slices.DeleteFunc(candidates, func(e *messages.JournalEntry) bool { return cloneOf(own).Apply(own.Last+10, e) != nil })
			}
			if len(candidates) == 0 {
				break
			}
			next := rapid.SampledFrom(candidates).Draw(t, "entry")
			after := cloneOf(own)
			theirs, mine := engineFold(append(history, next)), after.Apply(own.Last+10, next)
			switch {
			case theirs == nil && mine == nil:
				t.Fatalf("only the engine refuses entry %v", next)
			case theirs != nil && mine != nil && !containsAny(mine.Error(), stricter):
				t.Fatalf("only this fold refuses entry %v: %v", next, mine)
			case theirs != nil && mine == nil:
				history, own = append(history, next), after
				compare(t, theirs, own)
			}
		}
		ends[own.Status()]++
	})
}

func cloneOf(o *replay.Order) *replay.Order {
	c := *o
	c.State = proto.CloneOf(o.State)
	return &c
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// engineFold is the engine's fold of the history, nil when it refuses it.
func engineFold(history []*messages.JournalEntry) *order.State {
	s := &order.State{}
	for _, e := range history {
		if s.Apply(s.Last+10, e) != nil {
			return nil
		}
	}
	return s
}

func compare(t *rapid.T, engine *order.State, own *replay.Order) {
	if engine.Status.String() != string(own.Status()) || engine.Last != own.Last || engine.Park != own.Park || string(engine.ParkedFor()) != string(own.Wait) {
		t.Fatalf("engine: %s, last %d, park %d, waits for %q; this fold: %s, %d, %d, %q",
			engine.Status, engine.Last, engine.Park, engine.ParkedFor(), own.Status(), own.Last, own.Park, own.Wait)
	}
	if err := engine.CheckCheckpoint(&messages.JournalEntry{Checkpoint: own.State}); err != nil {
		t.Fatalf("engine: %+v; this fold: %v", engine, own.State)
	}
}

// candidates are possible next entries, legal and illegal ones.
func candidates(t *rapid.T, o *replay.Order) (all []*messages.JournalEntry) {
	if o.Number == 0 {
		for _, each := range []events{
			{accepted()}, {accepted(), signal(11)}, {accepted(), cancel(11)}, {accepted(), cancel(11), &messages.OrderCancelled{}},
			{accepted(), signal(11), cancel(12), &messages.OrderCancelled{}}, {accepted(), signal(11), &messages.OrderCancelled{}},
		} {
			all = append(all, newEntry(1, 0, each))
		}
		return all
	}
	step := threeSteps.Steps[rapid.SampledFrom([]int{0, 1, 2, len(o.State.GetResults()) % 3, len(o.State.GetResults()) % 3}).Draw(t, "step")].Name
	attempt := o.State.GetAttempts() + uint32(rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "attempt"))
	seq := max(o.State.GetWatermark(), 10) + uint64(rapid.SampledFrom([]int{0, 1, 1, 1}).Draw(t, "sequence"))
	driver := rapid.SampledFrom([]*messages.Source{inbox(seq), inbox(seq), wake(5), o.State.GetDriver(), o.State.GetDriver()}).Draw(t, "driver")
	incarnation := rapid.SampledFrom([]string{"i", "j", "k"}).Draw(t, "incarnation")
	skipped := rapid.IntRange(0, 4).Draw(t, "skipped") == 0 || o.State.GetSkip()
	direction := rapid.SampledFrom([]messages.Direction{messages.Do, messages.Undo}).Draw(t, "direction")
	for _, each := range []events{
		{&messages.StepCompleted{Step: step, Skipped: skipped}},
		{&messages.StepCompleted{Step: step}},
		{&messages.StepCompleted{Step: step}, &messages.OrderCompleted{}},
		{&messages.StepCompleted{Step: step, Signal: "paid"}},
		{&messages.StepUndone{Step: step, Skipped: skipped}},
		{undone("a")}, {undone("b")},
		{undone("a"), &messages.OrderCancelled{}},
		{undone("a"), &messages.OrderRejected{}},
		{&messages.OrderCompleted{}}, {&messages.OrderRejected{}}, {&messages.OrderCancelled{}},
		{failed(step, direction, attempt)},
		{failed(step, direction, attempt), parked(60)},
		{failed(step, direction, attempt), attention()},
		{refused(step)},
		{inDoubt(refused(step))},
		{pending(step)},
		{pending(step), parked(90)},
		{undoPending(step), parked(90)},
		{&messages.StepUndone{Step: step, Signal: "paid"}},
		{uncertain(failed(step, direction, attempt))}, {uncertain(failed(step, messages.Do, attempt))},
		{unreadable(failed(step, direction, attempt))},
		{parked(30)},
		{&messages.OrderParked{Until: at(30), InDoubt: true}},
		{attention()},
		{&messages.StepCompleted{Step: step}, cancel(seq)},
		{&messages.StepCompleted{Step: step}, cancel(seq), &messages.OrderCancelled{}},
		{&messages.StepUndone{Step: step}, cancel(seq)},
		{failed(step, direction, attempt), cancel(seq)},
		{cancel(seq)}, {signal(seq)}, {recorded(seq, messages.TypeRetry)},
		{resumed(driver, incarnation, "takeover")}, {resumed(driver, incarnation, "restart")},
		{cancel(seq), resumed(inbox(seq), incarnation, "cancel")},
		{signal(seq), resumed(inbox(seq), incarnation, "signal")},
		{recorded(seq, messages.TypeRetry), resumed(inbox(seq), incarnation, "retry")},
		{recorded(seq, messages.TypeSkip), resumed(inbox(seq), incarnation, "skip")},
		{resumed(wake(5), incarnation, "wake")},
		{accepted()},
	} {
		all = append(all, newEntry(o.Number+1, o.Last, each))
	}
	return all
}
