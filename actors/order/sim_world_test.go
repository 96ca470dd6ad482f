package order_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// world is one order's surroundings: the streams, the journal, the timer, the services, and the nodes that work on it.
type world struct {
	t    *rapid.T
	plan *messages.Plan
	now  time.Time

	history *history
	script  []*messages.Delivery
	stored  []*message
	fired   uint64
	timer   *timer
	effects []*effect
	// skipped names the steps a person passed over, recorded the messages in the journal.
	skipped  map[string]bool
	recorded map[uint64]bool
	// owners are the incarnations that ever owned the order.
	owners  map[string]bool
	nodes   []*node
	running []*operation
	policy  messages.Policy

	deliveries int
	// budget is how many disturbances of each kind may still happen.
	budget map[string]int
}

func (w *world) truth() *order.State { return w.history.state }

// timer is the order's one durable schedule.
type timer struct {
	park uint64
	at   time.Time
}

// message is stored in the inbox, or a wake-up.
type message struct {
	*messages.Delivery
	deliveries uint64
	// pending: delivered and neither settled nor given back; from due on it is delivered again.
	pending bool
	due     time.Time
}

func (w *world) find(s order.Source) *message {
	for _, m := range w.stored {
		if order.SourceOf(m.Delivery) == s {
			return m
		}
	}
	return nil
}

// firstStored is the first inbox message at or after from.
func (w *world) firstStored(from uint64) (uint64, bool) {
	var first uint64
	for _, m := range w.stored {
		if m.Stream == inbox && m.Sequence >= from && (first == 0 || m.Sequence < first) {
			first = m.Sequence
		}
	}
	return first, first > 0
}

// operation is something a driver asked for. It takes effect, then is replied to, at moments the world chooses.
type operation struct {
	actor  *driver
	name   string
	effect func()
	reply  func(outcome)
	// lasting: it changes the world, also after its driver is gone.
	lasting bool
	call    bool

	entry    *messages.JournalEntry
	expected uint64
	seq      uint64
	by       *messages.Delivery

	effective, replied bool
}

type outcome uint8

const (
	fine outcome = iota
	// lost: the reply of an append never came, which counts as a conflict.
	lost
	// failed: the journal, the inbox or the service is away.
	failed
)

func (w *world) start(op *operation) { w.running = append(w.running, op) }

func (w *world) takeEffect(op *operation) {
	op.effective = true
	if op.entry != nil {
		w.append(op)
		return
	}
	op.effect()
}

func (w *world) respond(op *operation, o outcome) {
	op.replied = true
	if op.actor.alive() {
		op.reply(o)
		op.actor.advance()
	}
}

// append stores an entry if its fence holds (I3), and checks that it is one the rules allow.
func (w *world) append(op *operation) {
	before := *w.truth()
	if op.expected != before.Last {
		return
	}
	for _, e := range op.entry.Events {
		switch e.GetKind().(type) {
		case *messages.Event_Accepted, *messages.Event_Resumed:
		case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded:
			w.checkInOrder(eventSource(e))
		case *messages.Event_Rejected:
			if before.Status != order.None {
				w.checkOwner(op, &before)
			}
		default:
			w.checkOwner(op, &before)
		}
		if c := e.GetStepCompleted(); c.GetSkipped() {
			w.skipped[c.GetStep()] = true
		}
		if u := e.GetStepUndone(); u.GetSkipped() {
			w.skipped[u.GetStep()] = true
		}
	}
	if err := w.history.add(op.entry); err != nil {
		w.t.Fatalf("an illegal entry was appended: %v", err)
	}
	op.seq = w.truth().Last
	for _, e := range op.entry.Events {
		if s := eventSource(e); s != nil {
			w.recorded[s.GetSequence()] = true
		}
		if a, r := e.GetAccepted(), e.GetResumed(); a != nil || r != nil {
			w.owners[a.GetIncarnation()+r.GetIncarnation()] = true
		}
	}
	w.checkAwake()
}

// checkAwake: a message that can bring an order at rest forward does (R3.7).
func (w *world) checkAwake() {
	s := w.truth()
	if s.Status != order.Parked && s.Status != order.Attention {
		return
	}
	events := w.history.entries[len(w.history.entries)-1].Events
	last := events[len(events)-1]
	if last.GetParked() == nil && last.GetAttention() == nil && (s.Status == order.Parked || last.GetSignalled() == nil) {
		w.t.Fatalf("%s, and %s does not wake the order", s.Status, write(events))
	}
}

// eventSource is the message that the event records, or nil.
func eventSource(e *messages.Event) *messages.Source {
	switch {
	case e.GetCancelRequested() != nil:
		return e.GetCancelRequested().GetSource()
	case e.GetSignalled() != nil:
		return e.GetSignalled().GetSource()
	}
	return e.GetRecorded().GetSource()
}

// checkInOrder: no earlier message, created excepted, is stored and not recorded (I6).
func (w *world) checkInOrder(s *messages.Source) {
	for _, m := range w.stored {
		if m.Stream == inbox && m.Type != messages.TypeCreated && m.Sequence < s.GetSequence() && !w.recorded[m.Sequence] {
			w.t.Fatalf("I6: message %d is recorded before %s %d", s.GetSequence(), m.Type, m.Sequence)
		}
	}
}

// checkOwner: only the owner carries the order forward (I3).
func (w *world) checkOwner(op *operation, s *order.State) {
	if op.by == nil || s.Owner != op.by.Incarnation || s.Driver != order.SourceOf(op.by) {
		w.t.Fatalf("I3: %s, which is not the owner %s of message %d, appends", op.actor.node.name, s.Owner, s.Driver.Sequence)
	}
}

// node holds deliveries and restarts its driver, as the supervisor does.
type node struct {
	w       *world
	name    string
	pending []*messages.Delivery
	actor   *driver
	// failing: the driver failed; the next one begins when the delay is over.
	failing bool
	giveUp  bool
}

// ackWait is the least time between two deliveries of a message that somebody holds.
const ackWait = 5 * time.Second

// take brings a delivery of m to the node.
func (n *node) take(m *message) {
	if n.w.held(m) {
		n.w.now = n.w.now.Add(ackWait)
	}
	n.w.deliveries++
	m.deliveries++
	m.pending = true
	d := *m.Delivery
	d.Received = n.w.now
	d.Deliveries, d.Incarnation = m.deliveries, fmt.Sprintf("i%d", n.w.deliveries)
	n.pending = append(n.pending, &d)
	if n.failing {
		return
	}
	if n.actor == nil {
		n.actor = &driver{w: n.w, node: n}
	}
	n.actor.hold(&d)
}

// fail ends the driver; its deliveries stay with the node.
func (n *node) fail(giveUp bool) {
	n.actor, n.failing = nil, true
	n.giveUp = n.giveUp || giveUp
}

func (n *node) restart() {
	n.failing = false
	a := &driver{w: n.w, node: n}
	n.actor = a
	if n.giveUp {
		a.giveUp = unavailable(messages.Defect)
	}
	for _, d := range slices.Clone(n.pending) {
		if n.actor != a {
			return
		}
		a.hold(d)
	}
}

// crash forgets everything.
func (n *node) crash() { n.actor, n.failing, n.giveUp, n.pending = nil, false, false, nil }

// settle ends a delivery. A stale answer has its effect on the message all the same.
func (n *node) settle(d *messages.Delivery, o messages.Outcome) {
	n.w.t.Logf("  %s settles %s %d/%s: %s", n.name, d.Type, d.Sequence, d.Incarnation, o)
	i := slices.Index(n.pending, d)
	if i < 0 {
		n.w.t.Fatalf("%s settles %s %d/%s twice", n.name, d.Type, d.Sequence, d.Incarnation)
	}
	n.pending = slices.Delete(n.pending, i, i+1)
	if o.Verdict == messages.VerdictDone {
		n.giveUp = false
	}
	n.w.settled(d, o)
	if len(n.pending) == 0 {
		n.actor = nil
	}
}

func (w *world) settled(d *messages.Delivery, o messages.Outcome) {
	m := w.find(order.SourceOf(d))
	switch o.Verdict {
	case messages.VerdictDone:
		w.checkAcknowledged(d)
	case messages.VerdictDead:
		w.checkBuried(d)
	case messages.VerdictLater:
		if w.owners[d.Incarnation] {
			w.t.Fatalf("R4: a driver gives %s %d back", d.Type, d.Sequence)
		}
		if m != nil {
			m.pending, m.due = false, w.now.Add(o.Delay)
		}
		return
	default:
		if d.Incarnation == w.truth().Owner {
			w.t.Fatalf("R4: the owner of the order drops %s %d", d.Type, d.Sequence)
		}
		return
	}
	if m != nil {
		w.stored = slices.DeleteFunc(w.stored, func(s *message) bool { return s == m })
	}
}

// checkAcknowledged: what the message caused is in the journal (I1), and nothing it may still cause is (R7).
func (w *world) checkAcknowledged(d *messages.Delivery) {
	switch s := w.truth(); {
	case d.Type == messages.TypeCreated && s.Status != order.None && (d.Sequence == s.Accepted || messages.SameOrder(d.Created, s.Order)):
	case d.Type == messages.TypeWake:
	case d.Type != messages.TypeCreated && (s.Status.Terminal() || w.recorded[d.Sequence]):
	default:
		w.t.Fatalf("I1: %s %d is acknowledged and not in the journal", d.Type, d.Sequence)
	}
}

// checkBuried: a dead letter is a second order under the id, or a message about an order nobody knew (I5).
func (w *world) checkBuried(d *messages.Delivery) {
	different := d.Type == messages.TypeCreated && w.truth().Status != order.None && !messages.SameOrder(d.Created, w.truth().Order)
	unknown := d.Type != messages.TypeCreated && d.Type != messages.TypeWake && w.now.Sub(d.Stored) > time.Minute && !w.recorded[d.Sequence]
	if !different && !unknown {
		w.t.Fatalf("I5: %s %d is a dead letter", d.Type, d.Sequence)
	}
}

// check holds after every step.
func (w *world) check() {
	s := w.truth()
	switch {
	case s.Status.Driven():
		if w.find(s.Driver) == nil {
			w.t.Fatalf("I2: %s, and the driver's message %v is not stored", s.Status, s.Driver)
		}
	case s.Status == order.Parked && w.timer == nil:
		if !slices.ContainsFunc(w.stored, func(m *message) bool {
			return m.Type == messages.TypeWake || m.Sequence == s.Accepted || w.recorded[m.Sequence]
		}) {
			w.t.Fatalf("I2: parked, and no timer, wake-up or message will ever wake the order")
		}
	}
	w.checkEffects()
}

// checkEnd holds when nothing can happen any more.
func (w *world) checkEnd() {
	s := w.truth()
	if !s.Status.Terminal() && s.Status != order.Attention {
		w.t.Fatalf("at the end the order is %s", s.Status)
	}
	if w.timer != nil {
		w.t.Fatalf("at the end a timer is left")
	}
	for _, m := range w.stored {
		w.t.Fatalf("at the end %s %d is left in %s", m.Type, m.Sequence, m.Stream)
	}
	for _, n := range w.nodes {
		if len(n.pending) > 0 || n.actor != nil {
			w.t.Fatalf("at the end %s holds a delivery", n.name)
		}
	}
	replayed := &order.State{}
	for i, e := range w.history.entries {
		if err := replayed.Apply(stored(uint32(i)+1), throughWire(e)); err != nil {
			w.t.Fatalf("I7: %v", err)
		}
	}
	if d := difference(s, replayed); d != "" {
		w.t.Fatalf("I7: replaying the journal tells something else: %s", d)
	}
}
