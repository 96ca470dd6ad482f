package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// world is one order's surroundings: the streams, the journal, the timer, the services, and the nodes that work on it.
type world struct {
	t    *rapid.T
	pump *pump
	id   messages.OrderID
	plan *messages.Plan
	now  time.Time

	// keeper stores the journal; entries is what it must hold, and truth what that tells.
	keeper  keeper
	entries []journal.Entry
	truth   *order.State

	script  []*delivery.Delivery
	stored  []*message
	fired   uint64
	timer   *messages.Timer
	effects []*effect
	// skipped names the steps a person passed over, recorded the messages in the journal.
	skipped  map[string]bool
	recorded map[uint64]bool
	// owners are the incarnations that ever owned the order and were told.
	owners  map[string]bool
	nodes   []*node
	running []*operation
	waits   []*wait
	// arrivals are the operations that actors started in the background.
	arrivals chan *operation
	// hold is the longest wait for a retry in memory; negative: every retry parks.
	hold time.Duration
	// checkpoint is after how many entries one carries a checkpoint; 0: as ever.
	checkpoint uint32

	published, deliveries int
	// ended counts the messages of the inbox that are settled, stored or not.
	ended int
	// budget is how many disturbances of each kind may still happen.
	budget map[string]int
	// wrong is the first thing that was found wrong. Checks run inside actors, where a test must not end.
	wrong string
}

// epoch is when every case begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(t *rapid.T, p *pump, k keeper) *world {
	w := &world{
		t: t, pump: p, id: k.id(), keeper: k, now: epoch, truth: &order.State{},
		plan:    &messages.Plan{Name: "test", Version: 1},
		skipped: map[string]bool{}, recorded: map[uint64]bool{}, owners: map[string]bool{}, arrivals: make(chan *operation),
	}
	attempts := rapid.Uint32Range(2, 4).Draw(t, "attempts")
	for i := range rapid.IntRange(1, 4).Draw(t, "steps") {
		s := &messages.Step{Name: fmt.Sprintf("s%d", i+1), Do: "sim:", Retry: &messages.Retry{Initial: durationpb.New(time.Second), Attempts: attempts}}
		if rapid.IntRange(0, 3).Draw(t, "undo") > 0 {
			s.Undo = "sim:"
			if rapid.IntRange(0, 2).Draw(t, "tombstone") == 0 {
				s.InDoubt = messages.InDoubt_IN_DOUBT_UNDO
			}
		}
		w.plan.Steps = append(w.plan.Steps, s)
	}
	signals := w.drawScript()
	for _, s := range w.plan.Steps {
		e := &effect{step: s, no: rapid.IntRange(0, 5).Draw(t, "no") == 0}
		if rapid.IntRange(0, 2).Draw(t, "pending") == 0 && (!e.no || !signals) {
			e.pendings = rapid.IntRange(1, 2).Draw(t, "pendings")
		}
		if rapid.IntRange(0, 7).Draw(t, "stubborn") == 0 {
			e.stubborn = 1
		}
		w.effects = append(w.effects, e)
	}
	prompt := rapid.IntRange(0, 3).Draw(t, "prompt") == 0
	for i := range rapid.IntRange(2, 3).Draw(t, "nodes") {
		w.nodes = append(w.nodes, newNode(w, fmt.Sprintf("n%d", i+1), prompt))
	}
	w.checkpoint = rapid.Uint32Range(0, 4).Draw(t, "checkpoint")
	w.hold = rapid.SampledFrom([]time.Duration{-1, time.Second, time.Minute}).Draw(t, "hold")
	w.budget = map[string]int{}
	for _, kind := range disturbances {
		w.budget[kind] = rapid.IntRange(0, 3).Draw(t, kind)
	}
	if rapid.IntRange(0, 3).Draw(t, "nobody there") == 0 {
		w.sleep()
	}
	return w
}

// sleep lets messages come while no node is there, until they are too old to wait for their order, or almost: then the
// age limit is reached while they are in the hands of nodes.
func (w *world) sleep() {
	for range rapid.IntRange(1, len(w.script)).Draw(w.t, "unheard") {
		w.publishNext()
	}
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{2 * time.Minute, time.Minute - ackWait - time.Second/2}).Draw(w.t, "slept"))
}

// drawScript draws what clients publish, and reports whether a signal is among it.
func (w *world) drawScript() (signals bool) {
	kinds := []string{"created", "cancel", "paid", "other", "retry", "skip", "duplicate", "different"}
	first := rapid.IntRange(0, 2).Draw(w.t, "before created")
	for i := range first + 1 + rapid.IntRange(0, 4).Draw(w.t, "after created") {
		kind := "created"
		if i != first {
			kind = rapid.SampledFrom(kinds[1:]).Draw(w.t, "message")
		} else if rapid.IntRange(0, 19).Draw(w.t, "invalid") == 0 {
			kind = "invalid"
		}
		signals = signals || kind == "paid"
		w.script = append(w.script, w.letter(kind))
	}
	return signals
}

// letter is a message that is not stored yet.
func (w *world) letter(kind string) *delivery.Delivery {
	d := &delivery.Delivery{OrderID: w.id, Stream: messages.StreamOrders}
	switch kind {
	case "cancel":
		d.Type, d.Cancel = messages.TypeCancel, &messages.CancelOrder{Reason: "changed my mind"}
	case "paid", "other":
		d.Type, d.Signal = messages.TypeSignal, &messages.SignalOrder{Name: kind, Data: structpb.NewNumberValue(float64(len(w.script)))}
	case "retry":
		d.Type = messages.TypeRetry
	case "skip":
		d.Type = messages.TypeSkip
	default:
		customer := map[bool]string{false: "c-1", true: "c-2"}[kind == "different"]
		d.Type, d.Created = messages.TypeCreated, &messages.OrderCreated{
			OrderId: string(w.id), CustomerId: customer, TotalAmount: 10, Currency: "USD",
			Items: []*messages.OrderItem{{ProductId: "p-1", Quantity: 2, UnitPrice: 5}},
		}
	}
	if kind == "invalid" {
		d.Invalid = errors.New("nobody sells p-1")
	}
	return d
}

// message is stored in the inbox, or a wake-up.
type message struct {
	*delivery.Delivery
	deliveries uint64
	// pending: delivered and neither settled nor given back; delivered is when that last happened.
	pending   bool
	delivered time.Time
	// due is when a message that was given back is delivered again.
	due time.Time
	// settled: acknowledged, and not swept yet. A wake-up is gone at once.
	settled bool
}

func (m *message) inbox() bool { return m.Stream == messages.StreamOrders }

func (m *message) String() string { return fmt.Sprintf("%s %d of %s", m.Type, m.Sequence, m.Stream) }

func (w *world) find(s order.Source) *message {
	for _, m := range w.stored {
		if order.SourceOf(m.Delivery) == s {
			return m
		}
	}
	return nil
}

// firstStored is the first inbox message at or after from, settled or not.
func (w *world) firstStored(from uint64) (first messages.StoredMessage, found bool) {
	for _, m := range w.stored {
		if m.inbox() && m.Sequence >= from && (!found || m.Sequence < first.Sequence) {
			first, found = messages.StoredMessage{Sequence: m.Sequence, Type: m.Type}, true
		}
	}
	return first, found
}

// heldAlive: the message is with a node, and the stream waits for its acknowledgement.
func (w *world) heldAlive(m *message) bool { return m.pending && (w.held(m) || w.settling(m)) }

// settling: a node has decided to bury the message, or to give it back, and that has not reached the stream yet.
func (w *world) settling(m *message) bool {
	return slices.ContainsFunc(w.running, func(op *operation) bool { return op.settles == m && !op.effective })
}

// sure: no acknowledgement wait runs out while a message of the inbox is settling. That is assumed.
func (w *world) sure(m *message) bool { return m.inbox() && w.settling(m) }

// held: the message is with a node, whether the stream waits for it or not.
func (w *world) held(m *message) bool {
	for _, n := range w.nodes {
		for _, d := range n.pending {
			if order.SourceOf(d) == order.SourceOf(m.Delivery) {
				return true
			}
		}
	}
	return false
}

func (w *world) needsPerson() bool { return w.truth.Status == order.Attention }

func (w *world) publishNext() {
	d := w.script[0]
	w.script = w.script[1:]
	w.publish(d)
}

func (w *world) publish(d *delivery.Delivery) {
	w.deliveries++
	w.published++
	d.Sequence = uint64(w.deliveries)
	d.Stored = w.now
	w.stored = append(w.stored, &message{Delivery: d})
}

// fire turns the timer into a wake-up.
func (w *world) fire() {
	w.fired++
	w.stored = append(w.stored, &message{Delivery: &delivery.Delivery{
		OrderID: w.id, Type: messages.TypeWake, Stream: messages.StreamTimers, Sequence: w.fired, Park: w.timer.Park, Snapshot: w.timer.Snapshot,
		Stored: w.now,
	}})
	w.timer = nil
}

// settle carries out how an actor ends a delivery. What depends on the clock reaches the stream later: a dead letter is
// stored first, and meanwhile anything may happen.
func (w *world) settle(by *instance, d *delivery.Delivery, o delivery.Outcome) {
	m := w.find(order.SourceOf(d))
	if m == nil && o.Kind != delivery.OutcomeDead {
		return
	}
	w.checkSettled(by, d, o)
	names := map[delivery.OutcomeKind]string{delivery.OutcomeDead: "bury", delivery.OutcomeLater: "give back"}
	name, later := names[o.Kind]
	if !later {
		w.settled(d, o)
		return
	}
	w.start(&operation{
		by: by, name: fmt.Sprintf("%s %s %d", name, d.Type, d.Sequence), settles: m, lasting: true, replied: true, effect: func() { w.settled(d, o) },
	})
}

// settled is what becomes of the stored message. A stale answer has its effect all the same, while it is stored.
func (w *world) settled(d *delivery.Delivery, o delivery.Outcome) {
	if o.Kind == delivery.OutcomeDead {
		w.checkBuried(d)
	}
	m := w.find(order.SourceOf(d))
	if m == nil {
		return
	}
	switch o.Kind {
	case delivery.OutcomeDone, delivery.OutcomeDead:
		if m.inbox() && !m.settled {
			w.ended++
		}
		m.settled, m.pending = true, false
		if !m.inbox() || o.Kind == delivery.OutcomeDead {
			w.stored = slices.DeleteFunc(w.stored, func(s *message) bool { return s == m })
		}
	case delivery.OutcomeLater:
		m.pending, m.due = false, w.now.Add(o.Delay)
	}
}

// wait is a timer of an actor.
type wait struct {
	by   *instance
	due  time.Time
	fire func()
}

func (w *world) afterFunc(by *instance, d time.Duration, f func()) (stop func() bool) {
	t := &wait{by, w.now.Add(d), f}
	w.waits = append(w.waits, t)
	return func() bool { return w.endWait(t) }
}

// endWait reports whether the wait was not over.
func (w *world) endWait(t *wait) bool {
	i := slices.Index(w.waits, t)
	if i >= 0 {
		w.waits = slices.Delete(w.waits, i, i+1)
	}
	return i >= 0
}

// floor is below the first message of the inbox that is not settled. Messages of other orders may hold it down for as long
// as they like: therefore nothing may wait for a sweep.
func (w *world) floor() uint64 {
	floor := uint64(w.deliveries)
	for _, m := range w.stored {
		if m.inbox() && !m.settled {
			floor = min(floor, m.Sequence-1)
		}
	}
	return floor
}

// swept reports whether a sweep removes the message.
func (w *world) swept(m *message) bool { return m.inbox() && m.settled && m.Sequence <= w.floor() }

func (w *world) sweep() {
	floor := w.floor()
	w.stored = slices.DeleteFunc(w.stored, func(m *message) bool { return m.inbox() && m.Sequence <= floor })
}

// unsettle is what a server does that was killed before it had stored that the message was acknowledged, or given back. It
// may also have lost that it ever delivered it. That what a node holds is not delivered again before the acknowledgement
// wait is over is assumed all the same (R3.6).
func (w *world) unsettle(m *message, deliveries uint64) {
	if m.settled {
		w.ended--
	}
	m.settled, m.due, m.deliveries = false, time.Time{}, deliveries
}

// close ends all actors.
func (w *world) close() {
	for _, n := range w.nodes {
		n.close()
	}
	w.pump.run()
}
