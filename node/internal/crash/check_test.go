package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/orderly-engine/orderly/node/audit/replay"
	"github.com/orderly-engine/orderly/node/server/index"
)

const (
	// stallLimit is how long nothing may change before the end is reached.
	stallLimit = natstest.Patience
	// maxTakeovers consecutive takeovers without progress put an order in attention.
	maxTakeovers = 20
	// maxShown failures of a proof are shown.
	maxShown = 20
)

// finish waits until all orders have ended on the nodes that run, checks everything, and stops the nodes.
func (w *testEnv) finish() *journal {
	w.Helper()
	w.load.end()
	w.quiesce()
	if w.operator != nil {
		w.operator.stop()
		w.quiesce() // messages that the operator sent twice
	}
	j := w.check()
	before := w.readEffects().total
	for _, p := range w.nodes {
		if !p.gone() {
			w.terminate(p)
		}
		for _, line := range p.forbiddenLogs() {
			w.Error(line)
		}
	}
	if after := w.readEffects().total; after != before {
		w.Errorf("%d effects were first performed after every order had ended", after-before)
	}
	return j
}

// quiesce waits until no message is in the inbox, no timer is stored, and no order waits for the operator.
func (w *testEnv) quiesce() {
	w.Helper()
	last, deadline := "", time.Now().Add(stallLimit)
	for ; ; <-time.After(20 * time.Millisecond) {
		inbox, timers, entries, err := w.progress()
		if err == nil && inbox == 0 && timers == 0 && (w.operator == nil || w.operator.idle()) {
			return
		}
		if now := fmt.Sprintf("%d messages in the inbox, %d timers, %d journal entries", inbox, timers, entries); err == nil && now != last {
			last, deadline = now, time.Now().Add(stallLimit)
		}
		if time.Now().After(deadline) {
			w.Fatalf("no change for %s: %s\n%s", stallLimit, last, w.diagnose())
		}
	}
}

// progress counts the messages in the inbox, the timers, and the journal entries ever stored.
func (w *testEnv) progress() (inbox, timers, entries uint64, err error) {
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
	defer cancel()
	for stream, n := range map[string]*uint64{messages.StreamOrders: &inbox, messages.StreamTimers: &timers, messages.StreamEvents: &entries} {
		s, err := w.js.Stream(ctx, stream)
		if err != nil {
			return 0, 0, 0, err
		}
		if *n = s.CachedInfo().State.Msgs; stream == messages.StreamEvents {
			*n = s.CachedInfo().State.LastSeq
		}
	}
	return inbox, timers, entries, nil
}

// diagnose describes the messages that are left and the nodes that should have processed them.
func (w *testEnv) diagnose() string {
	w.Helper()
	var b strings.Builder
	j := w.readJournal()
	for _, name := range []string{messages.StreamOrders, messages.StreamTimers} {
		c, err := w.js.Consumer(w.Context(), name, messages.Consumer)
		if err != nil {
			return err.Error()
		}
		i, shown := c.CachedInfo(), 0
		fmt.Fprintf(&b, "%s: %d not delivered, %d not acknowledged, %d redelivered, %d pull requests\n", name, i.NumPending, i.NumAckPending, i.NumRedelivered, i.NumWaiting)
		w.each(name, func(seq uint64, m *nats.Msg) {
			if shown++; shown <= 3 {
				id := messages.OrderID(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
				fmt.Fprintf(&b, "  %d: %s %v %.60q%v\n", seq, m.Subject, m.Header, m.Data, j.orders[id])
			}
		})
	}
	for _, p := range w.nodes {
		if !p.gone() {
			fmt.Fprintf(&b, "%s holds %v deliveries\n%s\n", p.id, p.inFlight(), p.tail())
		}
	}
	return b.String()
}

// failures fails the test, and shows the first of them only.
type failures struct {
	w     *testEnv
	count int
}

func (f *failures) add(format string, args ...any) {
	f.w.Helper()
	switch f.count++; {
	case f.count <= maxShown:
		f.w.Errorf(format, args...)
	case f.count == maxShown+1:
		f.w.Error("… and more")
	}
}

// check compares everything that is stored with the published messages.
func (w *testEnv) check() *journal {
	w.Helper()
	f, j, done := &failures{w: w}, w.readJournal(), w.readEffects()
	for _, v := range j.violations {
		f.add("%s", v)
	}
	ends, takeovers := map[replay.Status]int{}, 0
	for id, s := range w.load.orders {
		h := j.orders[id]
		if h == nil {
			f.add("order %s is lost: acknowledged as messages %v, not in the journal", id, s.copies)
			continue
		}
		ends[h.Status()]++
		takeovers = max(takeovers, h.takeovers)
		w.checkOrder(f, s, h, done)
	}
	for id, h := range j.orders {
		if w.load.orders[id] == nil {
			f.add("order %s (%s) was never published", id, h.Status())
		}
	}
	for id := range done.performed {
		if j.orders[messages.OrderID(id)] == nil {
			f.add("order %s has effects and no history", id)
		}
	}
	w.checkDeadLetters(f, j)
	w.checkAudit(f, j)
	w.checkIndex(f, j)
	w.Logf("%d orders: %v; %d effects, %d calls, %d of them repeated; %d nodes, %d disturbances, "+
		"at most %d takeovers of an order; parked %v", len(w.load.orders), ends, done.total, w.services.Stats().Calls, w.services.Stats().Repeats,
		len(w.nodes), w.disturbances, takeovers, j.parks)
	return j
}

func (w *testEnv) checkOrder(f *failures, s *sent, h *history, done effects) {
	w.Helper()
	id, status := string(h.ID), h.Status()
	if status == replay.Attention && h.takeovers > maxTakeovers && w.disturbances > maxTakeovers {
		return // as it should: that many deaths in a row need a decision
	}
	if !status.Ended() {
		f.add("order %s has not ended: %s%s", id, status, h)
		return
	}
	conflicting := h.Accepted.GetOrder().GetCustomerId() == conflictingCustomer
	if created := h.Accepted.GetDriver().GetSequence(); len(s.copies) == s.tries && !conflicting && !slices.Contains(s.copies, created) {
		f.add("order %s was accepted as message %d, and was published as %v", id, created, s.copies)
	}
	if h.takeovers > w.disturbances+w.extraTakeovers {
		f.add("order %s was taken over %d times, with %d disturbances%s", id, h.takeovers, w.disturbances, h)
	}
	refused := s.refused && !conflicting || done.refused[id]
	skipped := slices.ContainsFunc(h.State.GetResults(), (*messages.StepResult).GetSkipped)
	switch {
	case status == replay.Completed && refused && !skipped:
		f.add("order %s is completed, and was refused", id)
	case status == replay.Rejected && !refused:
		f.add("order %s is rejected, and nothing refused it: %s", id, h.Reason)
	case status == replay.Cancelled && s.cancelTries == 0 && !w.operator.cancelled(h.ID):
		f.add("order %s is cancelled without a cancel", id)
	}
	for i, step := range steps {
		did, undid, r := done.performed[id][step+"/do"], done.performed[id][step+"/undo"], h.result(i)
		wanted := true
		switch {
		case did > 1 || undid > 1:
			wanted = false
		case did > 0 && r == nil, undid > 0 && !r.GetUndone():
			wanted = false // an effect that is not in the journal
		case r.GetSkipped() || h.undoSkipped[step]:
			// The operator takes the call as made, whether it had an effect or not.
		case status == replay.Completed:
			wanted = did == 1 && undid == 0
		default:
			wanted = did == undid && (did == 0 || i < len(steps)-1)
		}
		if !wanted {
			f.add("order %s is %s, and %s was done %d times and undone %d times%s", id, status, step, did, undid, h)
		}
	}
}

// checkDeadLetters wants one dead letter for each bad message and none for any other.
func (w *testEnv) checkDeadLetters(f *failures, j *journal) {
	w.Helper()
	letters, total := map[uint64]int{}, 0
	w.each(messages.StreamDead, func(seq uint64, m *nats.Msg) {
		total++
		source, err := strconv.ParseUint(m.Header.Get(messages.HeaderDeadSequence), 10, 64)
		if err != nil {
			f.add("dead letter %d: %v", seq, err)
		}
		letters[source]++
	})
	bad, most := w.load.bad, w.load.badTries
	for id, s := range w.load.orders {
		// Of two messages with one id and different content the first to be accepted wins.
		if h := j.orders[id]; h != nil && h.Accepted.GetOrder().GetCustomerId() == conflictingCustomer {
			delete(bad, s.conflicting)
			for _, seq := range s.copies {
				bad[seq] = conflictingContent
			}
			most += s.tries
		}
	}
	for seq, defect := range bad {
		if letters[seq] != 1 {
			f.add("message %d (%s) is %d times among the dead letters", seq, defect, letters[seq])
		}
	}
	if total > most {
		f.add("%d dead letters, and at most %d bad messages", total, most)
	}
}

// readAudit runs the audit of `orderly verify`, which must balance.
func (w *testEnv) readAudit(f *failures) *audit.Report {
	w.Helper()
	report, err := audit.Read(w.Context(), w.js)
	if err != nil {
		w.Fatal(err)
	}
	if !report.Balanced() {
		f.add("the audit does not balance: %d violations, the first: %+v", report.ViolationCount, report.Violations[:min(len(report.Violations), 3)])
	}
	return report
}

// checkAudit compares the audit's counts with what was published.
func (w *testEnv) checkAudit(f *failures, j *journal) {
	w.Helper()
	report := w.readAudit(f)
	if int(report.Orders.Accepted) != len(w.load.orders) {
		f.add("%d orders accepted, %d published", report.Orders.Accepted, len(w.load.orders))
	}
	if o := report.Orders; o.InFlight+o.Parked > 0 {
		f.add("not ended: %d in flight, %d parked", o.InFlight, o.Parked)
	}
	if in := report.Inbox; in.Waiting+in.Held > 0 {
		f.add("left in the inbox: %d waiting, %d held", in.Waiting, in.Held)
	}
	// Without effect are at most the messages published more than once, and cancels that arrived too late.
	most := w.load.badTries - len(w.load.bad)
	for _, s := range w.load.orders {
		most += s.tries - 1 + s.cancelTries
	}
	for _, h := range j.orders {
		if h.State.GetCancel() != nil {
			most--
		}
	}
	if !w.load.signals && int(report.Inbox.WithoutEffect) > most {
		f.add("%d messages had no effect, and at most %d may have none", report.Inbox.WithoutEffect, most)
	}
}

// checkIndex waits until the index lists each order of the journal once, in its status as of its last entry.
func (w *testEnv) checkIndex(f *failures, j *journal) {
	w.Helper()
	difference := ""
	for deadline := time.Now().Add(stallLimit); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if difference = w.compareIndex(j); difference == "" {
			return
		}
	}
	f.add("the index differs from the journal: %s", difference)
}

// compareIndex describes a difference between the index and the journal, or returns "".
func (w *testEnv) compareIndex(j *journal) string {
	listed := map[messages.OrderID]bool{}
	for q := (index.Query{Limit: index.MaxLimit}); ; {
		page, err := index.Ask(w.Context(), w.nc, q)
		switch {
		case err != nil:
			return err.Error()
		case page.Rebuilding:
			return "it is being rebuilt"
		}
		for _, o := range page.Orders {
			id := messages.OrderID(o.OrderID)
			h := j.orders[id]
			switch {
			case listed[id]:
				return "order " + o.OrderID + " is listed twice"
			case h == nil:
				return "order " + o.OrderID + " is listed, and has no history"
			case !h.illegal && (o.Status != string(h.Status()) || o.Sequence != h.Last):
				return fmt.Sprintf("order %s is listed as %s, and is %s%s", id, o.Status, h.Status(), h)
			}
			listed[id] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(listed) < len(j.orders) {
		return fmt.Sprintf("%d of %d orders are listed", len(listed), len(j.orders))
	}
	return ""
}

// effects are the effects of the services, independently of the keys of the calls.
type effects struct {
	// performed counts by order and then by "<step>/<direction>".
	performed map[string]map[string]int
	// refused are the orders that a service refused.
	refused map[string]bool
	total   int
}

func (w *testEnv) readEffects() effects {
	w.Helper()
	b, err := os.ReadFile(w.effects)
	if err != nil {
		w.Fatal(err)
	}
	all := effects{performed: map[string]map[string]int{}, refused: map[string]bool{}}
	for line := range bytes.Lines(b) {
		var e struct{ Order, Step, Direction, Verdict string }
		if err := json.Unmarshal(line, &e); err != nil {
			w.Fatalf("%s: %v", line, err)
		}
		switch e.Verdict {
		case "performed":
			if all.performed[e.Order] == nil {
				all.performed[e.Order] = map[string]int{}
			}
			all.performed[e.Order][e.Step+"/"+e.Direction]++
			all.total++
		case "refused":
			all.refused[e.Order] = true
		}
	}
	return all
}
