package crash_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// journal is the whole stream, read and folded without the engine's code.
type journal struct {
	orders map[messages.OrderID]*history
	nodes  map[string]*activity
	// parks are counted by what they waited for.
	parks map[replay.Wait]int
	// end is the time of the last entry.
	end        time.Time
	violations []string
}

// history is what the journal says about one order.
type history struct {
	replay.Order
	// node drives the order, or drove it last; parkedBy parked it last.
	node, parkedBy string
	// takeovers counts how often another delivery of the driver's message took over.
	takeovers int
	// undoSkipped are the steps whose undo an operator skipped.
	undoSkipped map[string]bool
	illegal     bool
	lines       []string
}

// String lists the entries.
func (h *history) String() string { return strings.Join(h.lines, "") }

// result is that of the plan's i-th step, nil while it is not done.
func (h *history) result(i int) *messages.StepResult {
	if results := h.State.GetResults(); i < len(results) {
		return results[i]
	}
	return nil
}

// activity is what one node did.
type activity struct {
	entries int
	// takeovers counts by the node that drove before, wakes by the node that parked the order.
	takeovers, wakes     map[string]int
	first, firstTakeover time.Time
	// startAll are orders that this node drove last and that have not ended.
	open int
}

// readJournal reads what is stored now.
func (w *testEnv) readJournal() *journal {
	w.Helper()
	j := &journal{orders: map[messages.OrderID]*history{}, nodes: map[string]*activity{}, parks: map[replay.Wait]int{}}
	w.each(messages.StreamEvents, func(seq uint64, m *nats.Msg) {
		entry := &messages.JournalEntry{}
		if err := proto.Unmarshal(m.Data, entry); err != nil {
			w.Fatalf("journal entry %d: %v", seq, err)
		}
		j.add(seq, entry)
	})
	for _, h := range j.orders {
		if !h.Status().Ended() && !h.illegal {
			j.nodes[h.node].open++
		}
	}
	return j
}

// each calls take with every message that a stream stores.
func (w *testEnv) each(stream string, take func(uint64, *nats.Msg)) {
	w.Helper()
	js, err := w.nc.JetStream()
	if err != nil {
		w.Fatal(err)
	}
	info, err := js.StreamInfo(stream)
	if err != nil {
		w.Fatal(err)
	}
	sub, err := js.SubscribeSync("", nats.BindStream(stream), nats.OrderedConsumer())
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for left := info.State.Msgs; left > 0; left-- {
		m, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			w.Fatalf("read stream %s, %d messages before its end: %v", stream, left, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.Fatal(err)
		}
		take(meta.Sequence.Stream, m)
	}
}

// add folds an entry. It must be legal, appended by the node that drives the order, and no timer may wake an order early.
func (j *journal) add(seq uint64, entry *messages.JournalEntry) {
	id, node, at := messages.OrderID(entry.GetOrderId()), entry.GetNode(), entry.GetTime().AsTime()
	h, a := j.orders[id], j.nodes[node]
	if h == nil {
		h = &history{undoSkipped: map[string]bool{}}
		j.orders[id] = h
	}
	if a == nil {
		a = &activity{first: at, takeovers: map[string]int{}, wakes: map[string]int{}}
		j.nodes[node] = a
	}
	violate := func(format string, args ...any) {
		j.violations = append(j.violations, fmt.Sprintf("order %s, entry %d: ", id, entry.GetNumber())+fmt.Sprintf(format, args...)+h.String())
	}
	j.end = at
	a.entries++
	h.lines = append(h.lines, describe(seq, entry))
	before, until := h.Status(), h.Parked.GetUntil().AsTime()
	if h.illegal {
		return
	}
	if err := h.Apply(seq, entry); err != nil {
		h.illegal = true
		violate("%v", err)
		return
	}
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_Accepted:
			h.node = node
			continue
		case *messages.Event_Resumed:
			switch {
			case before.Driven():
				h.takeovers++
				a.takeovers[h.node]++
				if a.firstTakeover.IsZero() {
					a.firstTakeover = at
				}
			case k.Resumed.GetDriver().GetStream() == messages.StreamTimers:
				a.wakes[h.parkedBy]++
				if at.Before(until) {
					violate("woken %s too early", until.Sub(at))
				}
			}
			h.node = node
			continue
		case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded:
			continue // recorded by the node that got the message
		case *messages.Event_StepUndone:
			h.undoSkipped[k.StepUndone.GetStep()] = k.StepUndone.GetSkipped()
		case *messages.Event_Parked:
			h.parkedBy = node
			j.parks[h.Wait]++
		}
		if node != h.node {
			violate("%s by %s, but %s drives", messages.KindOf(e), node, h.node)
		}
	}
}

// describe is an entry in one line.
func describe(seq uint64, entry *messages.JournalEntry) string {
	var events []string
	for _, e := range entry.GetEvents() {
		text := messages.KindOf(e)
		if r := e.GetResumed(); r != nil {
			text += fmt.Sprintf("(%s by %s %d)", r.GetCause(), r.GetDriver().GetStream(), r.GetDriver().GetSequence())
		}
		if f := e.GetStepFailed(); f != nil {
			text += fmt.Sprintf("(%s: %s)", f.GetStep(), f.GetError())
		}
		events = append(events, text)
	}
	return fmt.Sprintf("\n    %7d %s %-8s %s", seq, entry.GetTime().AsTime().Format("05.000"), entry.GetNode(), strings.Join(events, ", "))
}
