package actors_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/internal/ordertest"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// fail records the first violation; the case ends with it after the step.
func (w *simulation) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
	}
}

// check holds after every step (I2, I4, I5).
func (w *simulation) check() {
	switch s := w.truth; {
	case s.Status.Driven():
		if m := w.find(s.Driver); m == nil || m.settled {
			w.fail("I2: %s, and the driver's message %v is not stored, or is settled", s.Status, s.Driver)
		}
	case s.Status == order.Parked && w.timer == nil:
		if !slices.ContainsFunc(w.stored, func(m *message) bool {
			return !m.settled && (m.Type == messages.TypeWake || m.Sequence == s.Accepted || w.recorded[m.Sequence])
		}) {
			w.fail("I2: parked, and no timer, wake-up or message wakes the order")
		}
	}
	open := 0
	for _, m := range w.stored {
		if m.inbox() && !m.settled {
			open++
		}
	}
	if w.published != w.ended+open {
		w.fail("I5: of %d messages %d are settled and %d are stored and open", w.published, w.ended, open)
	}
	w.checkEffects()
}

// checkEntry holds for every entry (I3, I6).
func (w *simulation) checkEntry(op *operation, entry *messages.JournalEntry, before *order.State) {
	recorded := maps.Clone(w.recorded)
	for _, e := range entry.Events {
		w.checkSignal(e.GetStepCompleted(), before)
		switch e.GetKind().(type) {
		case *messages.Event_Accepted:
			w.checkTakenAlong(op, e.GetAccepted(), entry)
		case *messages.Event_Resumed:
		case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded:
			w.checkInOrder(sourceOf(e), recorded)
			recorded[sourceOf(e).GetSequence()] = true
		case *messages.Event_Rejected, *messages.Event_Cancelled:
			if before.Status != order.None {
				w.checkOwner(op, before)
			}
		default:
			w.checkOwner(op, before)
		}
	}
}

// checkSignal: a step completed by a signal has the data of the oldest unused one.
func (w *simulation) checkSignal(c *messages.StepCompleted, before *order.State) {
	if c.GetSignal() == "" {
		return
	}
	i := slices.IndexFunc(before.Signals, func(s *messages.Signalled) bool { return s.GetName() == c.GetSignal() })
	if i < 0 || before.Signals[i].GetData() != c.GetData() {
		w.fail("step %s is completed by signal %s with the data %v; recorded are %v", c.GetStep(), c.GetSignal(), c.GetData(), before.Signals)
	}
}

// checkOwner: only the owner advances the order (I3).
func (w *simulation) checkOwner(op *operation, s *order.State) {
	if !slices.Contains(op.holders, s.Owner) {
		w.fail("I3: %s appends and does not hold the delivery %s, which owns the order", op, s.Owner)
	}
}

// checkTakenAlong: a created message that was delivered late, or again, is accepted with what had been stored about its order
// (R2), and a cancel among that ends it.
func (w *simulation) checkTakenAlong(op *operation, a *messages.OrderAccepted, entry *messages.JournalEntry) {
	var created *delivery.Delivery
	for _, d := range op.by.node.pending {
		if d.Incarnation == a.GetIncarnation() {
			created = d
		}
	}
	if created == nil || created.Invalid != nil || created.Deliveries == 1 && created.Received.Sub(created.Stored) <= lateAfter {
		return
	}
	for _, m := range w.stored {
		switch {
		case !m.inbox() || m.Type == messages.TypeCreated || !m.Stored.Before(created.Received):
		case m.Sequence < created.Sequence && created.Stored.Sub(m.Stored) > time.Minute/2:
			return
		case !slices.ContainsFunc(entry.Events, func(e *messages.Event) bool { return sourceOf(e).GetSequence() == m.Sequence }):
			w.fail("R2: %s %d was stored before its order was accepted, and is not recorded with it", m.Type, m.Sequence)
		case m.Type == messages.TypeCancel && entry.Events[len(entry.Events)-1].GetCancelled() == nil:
			w.fail("R2: cancel %d was recorded with the acceptance, and the order goes on", m.Sequence)
		}
	}
}

// lateAfter is the age from which a created message is late.
const lateAfter = 2 * time.Second

// checkInOrder: no earlier message, created excepted, is stored and not recorded (I6).
func (w *simulation) checkInOrder(s *messages.Source, recorded map[uint64]bool) {
	for _, m := range w.stored {
		if m.inbox() && m.Type != messages.TypeCreated && m.Sequence < s.GetSequence() && !recorded[m.Sequence] {
			w.fail("I6: message %d is recorded before %s %d", s.GetSequence(), m.Type, m.Sequence)
		}
	}
}

// checkWakes: a message that can end a park or attention does (R3.7).
func (w *simulation) checkWakes(entry *messages.JournalEntry) {
	s := w.truth
	if s.Status != order.Parked && s.Status != order.Attention {
		return
	}
	last := entry.Events[len(entry.Events)-1]
	kept := last.GetSignalled() != nil && (s.Status == order.Attention || last.GetSignalled().GetName() != s.Pending.GetSignal())
	if last.GetParked() == nil && last.GetAttention() == nil && !kept {
		w.fail("%s, and %s does not wake the order", s.Status, messages.KindOf(last))
	}
}

// checkJournal: the journal holds one history, and its fold is the state (I3, I7).
func (w *simulation) checkJournal() {
	entries, err := w.store.history()
	if err != nil {
		w.fail("read: %v", err)
		return
	}
	replayed := &order.State{}
	for i, e := range entries {
		if i >= len(w.entries) || e.Sequence != w.entries[i].Sequence || !sameEntry(e.Entry, w.entries[i].Entry) {
			w.fail("I3: entry %d of the journal differs", i+1)
			return
		}
		if err := replayed.Apply(e.Sequence, w.entries[i].Entry); err != nil {
			w.fail("I7: %v", err)
			return
		}
	}
	if len(entries) != len(w.entries) {
		w.fail("I1: the journal acknowledged %d entries and holds %d", len(w.entries), len(entries))
	}
	if d := ordertest.Difference(w.truth, replayed); d != "" {
		w.fail("I7: the fold of the journal differs: %s", d)
	}
	if entries, _, err = w.store.read(); err != nil {
		w.fail("read: %v", err)
	}
	recalled := &order.State{}
	for _, e := range entries {
		if err := recalled.Restore(e.Sequence, e.Entry); err != nil {
			w.fail("I7: %v", err)
			return
		}
	}
	if d := ordertest.Difference(w.truth, recalled); d != "" {
		w.fail("I7: the fold from the last checkpoint differs: %s", d)
	}
}

// sameEntry reports whether an entry was read as it was appended. A history of the stream has no checkpoints, which the fold from the
// last one checks.
func sameEntry(read, appended *messages.JournalEntry) bool {
	want := proto.CloneOf(appended)
	if read.GetCheckpoint() == nil {
		want.Checkpoint = nil
	}
	return proto.Equal(read, want)
}

// checkTimer holds whenever the timer is set (I7): its snapshot is the fold of the entries up to then.
func (w *simulation) checkTimer() {
	snapshotState := order.FromSnapshot(w.id, w.plan, journal.DecodeSnapshot(w.timer.Snapshot))
	if snapshotState == nil {
		w.fail("I7: the timer has no snapshot")
		return
	}
	replayed := &order.State{}
	for _, e := range w.entries {
		if e.Sequence > snapshotState.Last {
			break
		}
		if err := replayed.Apply(e.Sequence, e.Entry); err != nil {
			w.fail("I7: %v", err)
			return
		}
	}
	if d := ordertest.Difference(replayed, snapshotState); d != "" {
		w.fail("I7: the snapshot in the timer differs from the journal: %s", d)
	}
}

// checkSettled holds whenever an actor settles a delivery (I1, I5, R3.6, R4, R7).
func (w *simulation) checkSettled(by *instance, d *delivery.Delivery, o delivery.Outcome) {
	s := w.truth
	switch o.Kind {
	case delivery.OutcomeDone:
		named := d.Type == messages.TypeWake || w.recorded[d.Sequence] || s.Status != order.None && d.Sequence == s.Accepted
		duplicate := d.Type == messages.TypeCreated && s.Status != order.None && messages.SameOrder(d.Created, s.Order)
		switch {
		case named && !o.WithoutEffect:
		case !named && o.WithoutEffect && (duplicate || d.Type != messages.TypeCreated && s.Status.Terminal()):
		default:
			w.fail("I1: %s %d is %s, and in the journal is %t", d.Type, d.Sequence, o, named)
		}
	case delivery.OutcomeDead:
		taken := d.Type == messages.TypeCreated && s.Status != order.None && !messages.SameOrder(d.Created, s.Order)
		unknown := d.Type != messages.TypeCreated && d.Type != messages.TypeWake && w.now.Sub(d.Stored) > time.Minute && !by.knows
		if !taken && !unknown {
			w.fail("I5: %s %d is a dead letter: %s", d.Type, d.Sequence, o.Reason)
		}
	case delivery.OutcomeLater:
		if w.owners[d.Incarnation] {
			w.fail("R4: a driver naks %s %d", d.Type, d.Sequence)
		}
	default:
		if d.Incarnation == s.Owner && w.owners[s.Owner] {
			w.fail("R4: the owner of the order drops %s %d", d.Type, d.Sequence)
		}
	}
}

// checkDeadLettered: a dead letter took no effect, and was not stored after the created message of its order, accepted or not
// (I5). One stored before it may be dead-lettered while the order is accepted: that is unfenced (R3.6).
func (w *simulation) checkDeadLettered(d *delivery.Delivery) {
	if s := w.truth; d.Type != messages.TypeCreated && (w.recorded[d.Sequence] || s.Status != order.None && s.Accepted < d.Sequence) {
		w.fail("I5: %s %d is dead-lettered, and its order, accepted from message %d, exists", d.Type, d.Sequence, s.Accepted)
	}
	for _, m := range w.stored {
		if m.Type == messages.TypeCreated && d.Type != messages.TypeCreated && m.Sequence < d.Sequence {
			w.fail("I5: %s %d is dead-lettered, and message %d, which creates its order, is stored", d.Type, d.Sequence, m.Sequence)
		}
	}
	for _, c := range w.created {
		if age := c.Stored.Sub(d.Stored); d.Type != messages.TypeCreated && c.Sequence > d.Sequence && age <= time.Minute {
			w.fail("R3.6: %s %d is dead-lettered, and message %d, stored %s later, creates its order", d.Type, d.Sequence, c.Sequence, age)
		}
	}
}

// checkCall: a step is called with its key, a fencing token, and the results of the steps before it, its undo with that of the
// step alone. The body of a key is the same in every attempt (I4).
func (w *simulation) checkCall(c *gateway.Call) {
	r := c.Request
	if want := string(w.id) + "/" + r.GetStep() + "/" + r.GetDirection(); r.GetIdempotencyKey() != want {
		w.fail("I4: called under the key %s, want %s", r.GetIdempotencyKey(), want)
	}
	stateAt := &order.State{}
	for _, e := range w.entries {
		if e.Sequence <= c.FencingToken {
			if err := stateAt.Apply(e.Sequence, e.Entry); err != nil {
				w.fail("I7: %v", err)
				return
			}
		}
	}
	if stateAt.Last != c.FencingToken {
		w.fail("I4: fencing token %d of the call of %s is not the sequence of an entry", c.FencingToken, r.GetStep())
	}
	want := map[string]string{}
	for i, result := range stateAt.Results {
		own := w.plan.Steps[i].GetName() == r.GetStep()
		if result.Data != "" && own == (c.Direction == messages.Undo) {
			want[w.plan.Steps[i].GetName()] = result.Data
		}
	}
	if !maps.Equal(r.GetResults(), want) {
		w.fail("the call of %s/%s has the results %v, want %v", r.GetStep(), r.GetDirection(), r.GetResults(), want)
	}
	body, err := messages.MarshalJSON(r)
	if err != nil {
		w.fail("the call of %s cannot be encoded: %v", r.GetStep(), err)
	}
	if first, ok := w.bodies[r.GetIdempotencyKey()]; ok && first != string(body) {
		w.fail("the body of %s changed from %s to %s", r.GetIdempotencyKey(), first, body)
	}
	w.bodies[r.GetIdempotencyKey()] = string(body)
}

// checkEnd holds when nothing more can happen.
func (w *simulation) checkEnd() {
	s := w.truth
	if !s.Status.Terminal() && s.Status != order.Attention {
		w.t.Fatalf("at the end the order is %s", s.Status)
	}
	if w.timer != nil {
		w.t.Fatalf("at the end a timer is left")
	}
	for _, m := range w.stored {
		if !m.settled {
			w.t.Fatalf("at the end %s is left", m)
		}
	}
	for _, n := range w.nodes {
		if len(n.pending) > 0 || n.actor != nil {
			w.t.Fatalf("at the end %s holds a delivery", n.name)
		}
	}
	if w.checkJournal(); w.wrong != "" {
		w.t.Fatal(w.wrong)
	}
}
