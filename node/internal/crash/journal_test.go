package crash_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// history is what the journal tells about one order.
type history struct {
	state order.State
	// accepted is the inbox sequence that began it.
	accepted uint64
	// holder is the node that drives, or last drove; takeovers counts how often another delivery took over.
	holder    string
	takeovers int
	// completed and undone are the steps that the journal says were; skipped and undoSkipped those that a person passed over.
	completed, undone, skipped, undoSkipped map[string]bool
	// rests counts how often the order came to rest, returns how often it was brought back, by what the journal calls the cause.
	rests   int
	returns map[string]int
	// skips counts those returns from attention by which a person passed over a call.
	skips int
	// parkedBy is the node that parked it last.
	parkedBy string
	lines    []line
}

// restless counts what brings an order back from rest.
func (h *history) restless() (n int) {
	for _, times := range h.returns {
		n += times
	}
	return n
}

// line is one entry, for people.
type line struct {
	seq  uint64
	time time.Time
	node string
	what string
}

// story tells the history line by line.
func (h *history) story() string {
	var b strings.Builder
	for _, l := range h.lines {
		fmt.Fprintf(&b, "\n    %7d %s %-8s %s", l.seq, l.time.Format("05.000"), l.node, l.what)
	}
	return b.String()
}

func newLine(seq uint64, entry *messages.JournalEntry) line {
	var words []string
	for _, e := range entry.GetEvents() {
		word := messages.KindOf(e)
		switch k := e.GetKind().(type) {
		case *messages.Event_Resumed:
			word += fmt.Sprintf("(%s by %s %d)", k.Resumed.GetCause(), k.Resumed.GetDriver().GetStream(), k.Resumed.GetDriver().GetSequence())
		case *messages.Event_StepFailed:
			word += fmt.Sprintf("(%s: %s)", k.StepFailed.GetStep(), k.StepFailed.GetError())
		}
		words = append(words, word)
	}
	return line{seq, entry.GetTime().AsTime(), entry.GetNode(), strings.Join(words, ", ")}
}

// journal is the whole stream, read by itself: not by the reader the engine uses.
type journal struct {
	orders map[messages.OrderID]*history
	// entries and takeovers of each node, and when they began.
	nodes map[string]*activity
	// parks are counted by what they were for.
	parks map[order.ParkCause]int
	// end is the time of the last entry.
	end   time.Time
	wrong []string
}

func (j *journal) accuse(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// activity is what one node did.
type activity struct {
	entries int
	// takeovers counts by the node that drove before, wakes by the node that parked the order.
	takeovers, wakes     map[string]int
	first, firstTakeover time.Time
	// open are orders that this node drove last and that have not ended.
	open int
}

// readJournal reads what is stored now.
func (w *world) readJournal() *journal {
	w.Helper()
	j := &journal{orders: map[messages.OrderID]*history{}, nodes: map[string]*activity{}, parks: map[order.ParkCause]int{}}
	w.each(messages.StreamEvents, func(seq uint64, m jetstream.Msg) {
		entry := &messages.JournalEntry{}
		if err := proto.Unmarshal(m.Data(), entry); err != nil {
			w.Fatalf("journal entry %d: %v", seq, err)
		}
		j.enter(seq, entry)
		j.end = entry.GetTime().AsTime()
	})
	for _, h := range j.orders {
		if !h.state.Status.Terminal() {
			j.nodes[h.holder].open++
		}
	}
	return j
}

// each hands every message that a stream stores to take.
func (w *world) each(name string, take func(uint64, jetstream.Msg)) {
	w.Helper()
	ctx := w.Context()
	stream, err := w.js.Stream(ctx, name)
	if err != nil {
		w.Fatal(err)
	}
	left := stream.CachedInfo().State.Msgs
	if left == 0 {
		return
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		w.Fatal(err)
	}
	read, err := consumer.Messages()
	if err != nil {
		w.Fatal(err)
	}
	defer read.Stop()
	for ; left > 0; left-- {
		m, err := read.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			w.Fatalf("read stream %s, %d messages before its end: %v", name, left, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.Fatal(err)
		}
		take(meta.Sequence.Stream, m)
	}
}

func (j *journal) enter(seq uint64, entry *messages.JournalEntry) {
	id := messages.OrderID(entry.GetOrderId())
	h := j.orders[id]
	if h == nil {
		h = &history{
			completed: map[string]bool{}, undone: map[string]bool{}, skipped: map[string]bool{}, undoSkipped: map[string]bool{},
			returns: map[string]int{},
		}
		j.orders[id] = h
	}
	node := entry.GetNode()
	a := j.nodes[node]
	if a == nil {
		a = &activity{first: entry.GetTime().AsTime(), takeovers: map[string]int{}, wakes: map[string]int{}}
		j.nodes[node] = a
	}
	a.entries++
	h.lines = append(h.lines, newLine(seq, entry))
	until, was := h.state.ParkedUntil, h.state.Status
	if err := h.state.CheckCheckpoint(entry); err != nil {
		j.accuse("entry %d: %v%s", entry.GetNumber(), err, h.story())
	}
	// Legal, and gapless: Apply wants the next number.
	if err := h.state.Apply(seq, entry); err != nil {
		j.accuse("%v%s", err, h.story())
		return
	}
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_Accepted:
			h.holder, h.accepted = node, k.Accepted.GetDriver().GetSequence()
		case *messages.Event_Resumed:
			if cause := k.Resumed.GetCause(); cause == "takeover" {
				a.takeOver(h, entry.GetTime().AsTime())
			} else {
				j.goOn(h, a, entry, cause, until)
				if cause == "skip" && was == order.Attention {
					h.skips++
				}
			}
			h.holder = node
		case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded:
			// Whoever got the message records it.
		default:
			if node != h.holder {
				j.accuse("order %s, entry %d: %s by %s, and %s drives: it never took over",
					id, entry.GetNumber(), messages.KindOf(e), node, h.holder)
			}
		}
		switch k := e.GetKind().(type) {
		case *messages.Event_StepCompleted:
			h.completed[k.StepCompleted.GetStep()] = true
			h.skipped[k.StepCompleted.GetStep()] = k.StepCompleted.GetSkipped()
		case *messages.Event_StepUndone:
			h.undone[k.StepUndone.GetStep()] = true
			h.undoSkipped[k.StepUndone.GetStep()] = k.StepUndone.GetSkipped()
		case *messages.Event_Parked:
			h.rests++
			h.parkedBy = node
			j.parks[h.state.ParkedFor()]++
		case *messages.Event_Attention:
			h.rests++
		}
	}
}

func (a *activity) takeOver(h *history, at time.Time) {
	h.takeovers++
	a.takeovers[h.holder]++
	if a.firstTakeover.IsZero() {
		a.firstTakeover = at
	}
}

// goOn takes note that an order at rest goes on: never before its time by a timer, and once for each rest.
func (j *journal) goOn(h *history, a *activity, entry *messages.JournalEntry, cause string, until time.Time) {
	h.returns[cause]++
	if n := h.restless(); n != h.rests {
		j.accuse("order %s came to rest %d times, and went on %d times%s", entry.GetOrderId(), h.rests, n, h.story())
	}
	if cause != "wake" {
		return
	}
	a.wakes[h.parkedBy]++
	if early := until.Sub(entry.GetTime().AsTime()); early > 0 {
		j.accuse("order %s, entry %d: woken %s too early", entry.GetOrderId(), entry.GetNumber(), early)
	}
}
