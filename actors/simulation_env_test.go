package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// simulation is one order with its streams, journal, timer and services, and the nodes that work on it.
type simulation struct {
	t    *rapid.T
	pump *pump
	id   messages.OrderID
	plan *messages.Plan
	now  time.Time

	// store holds the journal; entries is what it must hold, and truth the fold of them.
	store   store
	entries []journal.Entry
	truth   *order.State

	script []*delivery.Delivery
	stored []*message
	// created are the messages that create the order, stored or not.
	created []*delivery.Delivery
	fired   uint64
	timer   *messages.Timer
	effects []*effect
	// skipped names the steps a person skipped, recorded the messages in the journal.
	skipped  map[string]bool
	recorded map[uint64]bool
	// bodies are the requests, by idempotency key.
	bodies map[string]string
	// owners are the incarnations that owned the order and got the reply.
	owners  map[string]bool
	nodes   []*node
	running []*operation
	waits   []*wait
	// arrivals are the operations that actors started in the background.
	arrivals chan *operation
	// hold is the longest wait for a retry in memory; negative: every retry parks.
	hold time.Duration
	// checkpoint is the number of entries between two with a checkpoint; 0: the default.
	checkpoint uint32

	published, deliveries int
	// ended counts the messages of the inbox that are settled, stored or not.
	ended int
	// budget is how many faults of each kind may still happen.
	budget map[string]int
	// wrong is the first violation. Checks run inside actors, where a test must not end.
	wrong string
}

// epoch is the start of every case.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newSimulation(t *rapid.T, p *pump, k store) *simulation {
	w := &simulation{
		t: t, pump: p, id: k.id(), store: k, now: epoch, truth: &order.State{},
		plan:    &messages.Plan{Name: "test", Version: 1},
		skipped: map[string]bool{}, recorded: map[uint64]bool{}, bodies: map[string]string{}, owners: map[string]bool{}, arrivals: make(chan *operation),
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
		if rapid.IntRange(0, 7).Draw(t, "undo refusals") == 0 {
			e.undoRefusals = 1
		}
		e.foreign = rapid.Bool().Draw(t, "foreign")
		if e.foreign {
			e.denials = rapid.IntRange(0, 2).Draw(t, "denials")
			e.unreadable = rapid.IntRange(0, 3).Draw(t, "unreadable")
			e.undoPendings = rapid.IntRange(0, 1).Draw(t, "undo pendings")
		}
		w.effects = append(w.effects, e)
	}
	inline := rapid.IntRange(0, 3).Draw(t, "inline") == 0
	for i := range rapid.IntRange(2, 3).Draw(t, "nodes") {
		w.nodes = append(w.nodes, newNode(w, fmt.Sprintf("n%d", i+1), inline))
	}
	w.checkpoint = rapid.Uint32Range(0, 4).Draw(t, "checkpoint")
	w.hold = rapid.SampledFrom([]time.Duration{-1, time.Second, time.Minute}).Draw(t, "hold")
	w.budget = map[string]int{}
	for _, kind := range faults {
		w.budget[kind] = rapid.IntRange(0, 3).Draw(t, kind)
	}
	if rapid.IntRange(0, 3).Draw(t, "no node") == 0 {
		w.sleep()
	}
	return w
}

// sleep publishes messages while no node runs, until they are older than the age limit, or almost: then they reach it while
// nodes hold them.
func (w *simulation) sleep() {
	for range rapid.IntRange(1, len(w.script)).Draw(w.t, "published meanwhile") {
		w.publishNext()
	}
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{2 * time.Minute, time.Minute - ackWait - time.Second/2}).Draw(w.t, "slept"))
}

// drawScript draws what clients publish, and reports whether a signal is among it.
func (w *simulation) drawScript() (signals bool) {
	kinds := []string{"created", "cancel", "paid", "undone", "other", "retry", "skip", "duplicate", "different"}
	first := rapid.IntRange(0, 2).Draw(w.t, "before created")
	for i := range first + 1 + rapid.IntRange(0, 4).Draw(w.t, "after created") {
		kind := "created"
		if i != first {
			kind = rapid.SampledFrom(kinds[1:]).Draw(w.t, "message")
		} else if rapid.IntRange(0, 19).Draw(w.t, "invalid") == 0 {
			kind = "invalid"
		}
		signals = signals || kind == "paid"
		w.script = append(w.script, w.newMessage(kind))
	}
	return signals
}

// newMessage is a message that is not stored yet.
func (w *simulation) newMessage(kind string) *delivery.Delivery {
	d := &delivery.Delivery{OrderID: w.id, Stream: messages.StreamOrders}
	switch kind {
	case "cancel":
		d.Type, d.Cancel = messages.TypeCancel, &messages.CancelOrder{Reason: "changed my mind"}
	case "paid", "undone", "other":
		d.Type, d.Signal = messages.TypeSignal, &messages.SignalOrder{Name: kind, Data: strconv.Itoa(len(w.script))}
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
		d.Invalid = errors.New("p-1 is not for sale")
	}
	return d
}

// message is stored in the inbox, or a wake-up.
type message struct {
	*delivery.Delivery
	deliveries uint64
	// pending: delivered and not settled; delivered is the time of the last delivery.
	pending   bool
	delivered time.Time
	// due is when a message that was nak'ed is delivered again.
	due time.Time
	// settled: acknowledged, and not purged yet. A wake-up is removed at once.
	settled bool
}

func (m *message) inbox() bool { return m.Stream == messages.StreamOrders }

func (m *message) String() string { return fmt.Sprintf("%s %d of %s", m.Type, m.Sequence, m.Stream) }

func (w *simulation) find(s order.Source) *message {
	for _, m := range w.stored {
		if order.SourceOf(m.Delivery) == s {
			return m
		}
	}
	return nil
}

// firstStored is the first inbox message at or after from, settled or not.
func (w *simulation) firstStored(from uint64) (first messages.StoredMessage, found bool) {
	for _, m := range w.stored {
		if m.inbox() && m.Sequence >= from && (!found || m.Sequence < first.Sequence) {
			first, found = messages.StoredMessage{Sequence: m.Sequence, Type: m.Type}, true
		}
	}
	return first, found
}

// storedNow are the inbox messages, settled or not, oldest first.
func (w *simulation) storedNow() []*delivery.Delivery {
	stored := []*delivery.Delivery{}
	for _, m := range w.stored {
		if m.inbox() {
			d := *m.Delivery
			stored = append(stored, &d)
		}
	}
	return stored
}

// awaitsAck: a node holds the message, and the stream waits for its acknowledgement.
func (w *simulation) awaitsAck(m *message) bool { return m.pending && (w.held(m) || w.settling(m)) }

// settling: a node has decided to dead-letter or nak the message, and that has not reached the stream yet.
func (w *simulation) settling(m *message) bool {
	return slices.ContainsFunc(w.running, func(op *operation) bool { return op.settles == m && !op.effective })
}

// sure: no acknowledgement wait ends while a message of the inbox is settling. That is assumed.
func (w *simulation) sure(m *message) bool { return m.inbox() && w.settling(m) }

// held: a node holds the message, whether the stream waits for it or not.
func (w *simulation) held(m *message) bool {
	for _, n := range w.nodes {
		for _, d := range n.pending {
			if order.SourceOf(d) == order.SourceOf(m.Delivery) {
				return true
			}
		}
	}
	return false
}

func (w *simulation) inAttention() bool { return w.truth.Status == order.Attention }

func (w *simulation) publishNext() {
	d := w.script[0]
	w.script = w.script[1:]
	w.publish(d)
}

func (w *simulation) publish(d *delivery.Delivery) {
	w.deliveries++
	w.published++
	d.Sequence = uint64(w.deliveries)
	d.Stored = w.now
	w.stored = append(w.stored, &message{Delivery: d})
	if d.Type == messages.TypeCreated {
		w.created = append(w.created, d)
	}
}

// fire turns the timer into a wake-up.
func (w *simulation) fire() {
	w.fired++
	w.stored = append(w.stored, &message{Delivery: &delivery.Delivery{
		OrderID: w.id, Type: messages.TypeWake, Stream: messages.StreamTimers, Sequence: w.fired, Park: w.timer.Park, Snapshot: w.timer.Snapshot,
		Stored: w.now,
	}})
	w.timer = nil
}

// settle applies an outcome. Dead letters and naks reach the stream later, and other operations may run before that.
func (w *simulation) settle(by *instance, d *delivery.Delivery, o delivery.Outcome) {
	m := w.find(order.SourceOf(d))
	if m == nil && o.Kind != delivery.OutcomeDead {
		return
	}
	w.checkSettled(by, d, o)
	names := map[delivery.OutcomeKind]string{delivery.OutcomeDead: "dead-letter", delivery.OutcomeLater: "nak"}
	name, later := names[o.Kind]
	if !later {
		w.settled(d, o)
		return
	}
	w.start(&operation{
		by: by, name: fmt.Sprintf("%s %s %d", name, d.Type, d.Sequence), settles: m, lasting: true, replied: true, effect: func() { w.settled(d, o) },
	})
}

// settled applies an outcome to the stored message. A stale one takes effect too, while the message is stored.
func (w *simulation) settled(d *delivery.Delivery, o delivery.Outcome) {
	if o.Kind == delivery.OutcomeDead {
		w.checkDeadLettered(d)
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

func (w *simulation) afterFunc(by *instance, d time.Duration, f func()) (stop func() bool) {
	t := &wait{by, w.now.Add(d), f}
	w.waits = append(w.waits, t)
	return func() bool { return w.endWait(t) }
}

// endWait reports whether the wait was not over.
func (w *simulation) endWait(t *wait) bool {
	i := slices.Index(w.waits, t)
	if i >= 0 {
		w.waits = slices.Delete(w.waits, i, i+1)
	}
	return i >= 0
}

// floor is below the first message of the inbox that is not settled. Messages of other orders may hold it down for any
// time: nothing may wait for a purge.
func (w *simulation) floor() uint64 {
	floor := uint64(w.deliveries)
	for _, m := range w.stored {
		if m.inbox() && !m.settled {
			floor = min(floor, m.Sequence-1)
		}
	}
	return floor
}

// purgeable reports whether a purge removes the message.
func (w *simulation) purgeable(m *message) bool {
	return m.inbox() && m.settled && m.Sequence <= w.floor()
}

func (w *simulation) purge() {
	floor := w.floor()
	w.stored = slices.DeleteFunc(w.stored, func(m *message) bool { return m.inbox() && m.Sequence <= floor })
}

// loseAck is a server that was killed before it had stored an ack or nak of the message; it may have lost the count of
// deliveries too. It is still assumed that a message held by a node is not delivered again before the acknowledgement wait is
// over (R3.6).
func (w *simulation) loseAck(m *message, deliveries uint64) {
	if m.settled {
		w.ended--
	}
	m.settled, m.due, m.deliveries = false, time.Time{}, deliveries
}

// close stops all actors.
func (w *simulation) close() {
	for _, n := range w.nodes {
		n.close()
	}
	w.pump.run()
}
