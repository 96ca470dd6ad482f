package crash_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit"
)

// stall is how long nothing may happen before the end is reached.
const stall = time.Minute

// quiesce waits until nothing is left to do: no message in the inbox, no timer, and no order for the person.
func (w *world) quiesce() {
	w.Helper()
	var last [3]uint64
	deadline := time.Now().Add(stall)
	for {
		var now [3]uint64
		known := true
		for i, name := range []string{messages.StreamOrders, messages.StreamTimers, messages.StreamEvents} {
			ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
			stream, err := w.js.Stream(ctx, name)
			cancel()
			if err != nil {
				known = false
				break
			}
			if now[i] = stream.CachedInfo().State.Msgs; name == messages.StreamEvents {
				now[i] = stream.CachedInfo().State.LastSeq
			}
		}
		switch {
		case known && now[0] == 0 && now[1] == 0 && (w.person == nil || w.person.idle()):
			return
		case known && now != last:
			last, deadline = now, time.Now().Add(stall)
		case time.Now().After(deadline):
			w.Fatalf("nothing happens for %s, with %d messages in the inbox, %d timers and %d journal entries\n%s",
				stall, last[0], last[1], last[2], w.stuck())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stuck tells what is known about messages that nobody carries to their end.
func (w *world) stuck() string {
	var b strings.Builder
	for _, name := range []string{messages.StreamOrders, messages.StreamTimers} {
		stream, err := w.js.Stream(w.Context(), name)
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		if c, err := stream.Consumer(w.Context(), messages.Consumer); err == nil {
			i := c.CachedInfo()
			fmt.Fprintf(&b, "%s: %d not delivered, %d not acknowledged, %d delivered again, %d pulls wait\n",
				name, i.NumPending, i.NumAckPending, i.NumRedelivered, i.NumWaiting)
		}
		for seq, shown := stream.CachedInfo().State.FirstSeq, 0; seq <= stream.CachedInfo().State.LastSeq && shown < 3; seq++ {
			if m, err := stream.GetMsg(w.Context(), seq); err == nil {
				shown++
				fmt.Fprintf(&b, "  %d: %s %v %.60q\n", seq, m.Subject, m.Header, m.Data)
				if id := messages.OrderID(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]); w.readJournal().orders[id] != nil {
					s := w.readJournal().orders[id].state
					fmt.Fprintf(&b, "    order %s: %s after %d entries, driven by %v\n", id, s.Status, s.Number, s.Driver)
				}
			}
		}
	}
	for _, p := range w.nodes {
		if !p.gone() {
			fmt.Fprintf(&b, "%s holds %v deliveries\n%s\n", p.id, p.metric("orderly_deliveries_in_flight"), p.tail())
		}
	}
	return b.String()
}

// wrongs are collected, and only the first are shown.
type wrongs struct {
	w *world
	n int
}

func (x *wrongs) add(format string, args ...any) {
	x.w.Helper()
	if x.n++; x.n <= 20 {
		x.w.Errorf(format, args...)
	}
}

// finish lets the load end on the nodes that run, stops them in good order, and proves that all is well.
func (w *world) finish() *journal {
	w.Helper()
	w.load.end()
	w.quiesce()
	if w.person != nil {
		w.person.stop()
		w.quiesce() // what was sent to be sure
	}
	j := w.prove()
	before := w.readEffects().total
	for _, p := range w.nodes {
		if !p.gone() {
			w.term(p)
		}
	}
	if after := w.readEffects().total; after != before {
		w.Errorf("%d effects were first performed after every order had ended", after-before)
	}
	for _, p := range w.nodes {
		for _, line := range p.complaints() {
			w.Error(line)
		}
	}
	return j
}

// prove holds everything that is stored against what was published.
func (w *world) prove() *journal {
	w.Helper()
	x := &wrongs{w: w}
	j, done := w.readJournal(), w.readEffects()
	for _, wrong := range j.wrong {
		x.add("%s", wrong)
	}
	ends := map[order.Status]int{}
	takeovers := 0
	for id, s := range w.load.orders {
		h := j.orders[id]
		if h == nil {
			x.add("order %s is lost: acknowledged as messages %v, not in the journal", id, s.copies)
			continue
		}
		ends[h.state.Status]++
		takeovers = max(takeovers, h.takeovers)
		w.proveOrder(x, s, h, done)
	}
	for id, h := range j.orders {
		if w.load.orders[id] == nil {
			x.add("order %s (%s) was never published", id, h.state.Status)
		}
	}
	for id := range done.performed {
		if j.orders[messages.OrderID(id)] == nil {
			x.add("order %s has effects and no history", id)
		}
	}
	w.proveDead(x, j)
	w.proveLedger(x, j)
	w.proveIndex(x, j)
	if x.n > 20 {
		w.Errorf("… and %d more", x.n-20)
	}
	w.Logf("%d orders: %v; %d effects, %d calls, %d of them repeated; %d nodes, %d disturbances, "+
		"at most %d takeovers of an order; parked %v", len(w.load.orders), ends, done.total, w.services.Stats().Calls, w.services.Stats().Repeats,
		len(w.nodes), w.disturbances, takeovers, j.parks)
	return j
}

func (w *world) proveOrder(x *wrongs, s *sent, h *history, done effects) {
	w.Helper()
	id, status := string(h.state.ID), h.state.Status
	if status == order.Attention && h.takeovers > order.MaxTakeovers && w.disturbances > order.MaxTakeovers {
		return // as it should: it saw more deaths than anybody believes to be chance
	}
	if !status.Terminal() {
		x.add("order %s has not ended: %s%s", id, status, h.story())
		return
	}
	rival := h.state.Order.GetCustomerId() == rivalCustomer
	if known := len(s.copies) == s.tries; known && !rival && !slices.Contains(s.copies, h.accepted) {
		x.add("order %s was accepted as message %d, and was published as %v", id, h.accepted, s.copies)
	}
	if h.takeovers > w.disturbances+w.spare {
		x.add("order %s was taken over %d times, with %d disturbances%s", id, h.takeovers, w.disturbances, h.story())
	}
	refused := s.refused && !rival || done.refused[id]
	switch {
	case status == order.Completed && refused && !slices.Contains(slices.Collect(maps.Values(h.skipped)), true):
		x.add("order %s is completed, and was refused", id)
	case status == order.Rejected && !refused:
		x.add("order %s is rejected, and nobody refused it: %s", id, h.state.End)
	case status == order.Cancelled && s.cancelTries == 0 && !w.person.cancelled(messages.OrderID(id)):
		x.add("order %s is cancelled, and nobody asked for it", id)
	case h.state.Cancel != nil && status == order.Rejected:
		x.add("order %s is rejected, and its cancel came before", id)
	}
	effects := done.performed[id]
	for key, n := range effects {
		if n > 1 {
			x.add("order %s: %s took effect %d times", id, key, n)
		}
	}
	skips := 0
	for i, step := range steps {
		did, undid := effects[step+"/do"], effects[step+"/undo"]
		last := i == len(steps)-1
		// A step that a person passed over may have been performed or not, and so may an undo.
		skipped, undoSkipped := h.skipped[step], h.undoSkipped[step]
		if skipped {
			skips++
		}
		if undoSkipped {
			skips++
		}
		switch {
		case status == order.Completed && (did != 1 && !skipped || undid != 0):
			x.add("order %s is completed, and %s was done %d times and undone %d times%s", id, step, did, undid, h.story())
		case skipped && (undid != 0 || h.undone[step]):
			x.add("order %s: %s was passed over, and undone%s", id, step, h.story())
		case status != order.Completed && !last && did != undid && !skipped && !undoSkipped:
			x.add("order %s is %s, and %s was done %d times and undone %d times%s", id, status, step, did, undid, h.story())
		case status != order.Completed && last && did != 0 && !skipped:
			x.add("order %s is %s, and %s was done%s", id, status, step, h.story())
		// What the journal tells was performed before it was told, and so before the end.
		case did > 0 && !h.completed[step] && !h.undone[step]:
			x.add("order %s: %s was done, and its history does not know%s", id, step, h.story())
		case undid > 0 && !h.undone[step]:
			x.add("order %s: %s was undone, and its history does not know%s", id, step, h.story())
		}
	}
	if skips > h.skips {
		x.add("order %s: %d calls were passed over, and a person passed over %d%s", id, skips, h.skips, h.story())
	}
}

// proveDead wants one dead letter for each bad message and none for any other.
func (w *world) proveDead(x *wrongs, j *journal) {
	w.Helper()
	letters := map[uint64]int{}
	total := 0
	w.each(messages.StreamDead, func(seq uint64, m jetstream.Msg) {
		total++
		source, err := strconv.ParseUint(m.Headers().Get(messages.HeaderDeadSequence), 10, 64)
		if err != nil {
			x.add("dead letter %d: %v", seq, err)
		}
		letters[source]++
	})
	lost := 0
	for _, s := range w.load.orders {
		h := j.orders[messages.OrderID(s.order.GetOrderId())]
		// Of two messages with one id and different content the first to be accepted wins.
		if h != nil && h.state.Order.GetCustomerId() == rivalCustomer {
			delete(w.load.bad, s.rival)
			for _, seq := range s.copies {
				w.load.bad[seq] = otherContent
			}
			lost += s.tries
		}
	}
	for seq, wrong := range w.load.bad {
		if letters[seq] != 1 {
			x.add("message %d (%s) is %d times among the dead letters", seq, wrong, letters[seq])
		}
	}
	if total > w.load.badTries+lost {
		x.add("%d dead letters, and at most %d bad messages", total, w.load.badTries+lost)
	}
}

// proveLedger reads the product's own proof, and holds its counts against ours.
func (w *world) proveLedger(x *wrongs, j *journal) {
	w.Helper()
	report, err := audit.Read(w.Context(), w.js)
	if err != nil {
		w.Fatal(err)
	}
	if !report.Balanced() {
		x.add("the audit does not balance: %d violations, the first: %+v", report.ViolationCount, report.Violations[:min(len(report.Violations), 3)])
	}
	if int(report.Orders.Accepted) != len(w.load.orders) {
		x.add("%d orders accepted, %d published", report.Orders.Accepted, len(w.load.orders))
	}
	if o := report.Orders; o.InFlight+o.Parked > 0 {
		x.add("not ended: %d in flight, %d parked", o.InFlight, o.Parked)
	}
	if in := report.Inbox; in.Waiting+in.Held > 0 {
		x.add("left in the inbox: %d waiting, %d held", in.Waiting, in.Held)
	}
	// Without effect can be no more than what was published more than once, and cancels that came too late.
	var may int
	for _, s := range w.load.orders {
		may += s.tries - 1 + s.cancelTries
	}
	for _, h := range j.orders {
		if h.state.Cancel != nil {
			may--
		}
	}
	may += w.load.badTries - len(w.load.bad)
	if !w.load.signals && int(report.Inbox.WithoutEffect) > may {
		x.add("%d messages left no trace, and at most %d may", report.Inbox.WithoutEffect, may)
	}
}
