package audit

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// book folds the journal, all orders interleaved, and keeps of each no more than the ledger needs.
type book struct {
	report *Report
	live   map[messages.OrderID]*history
	// closed orders have ended, or have a history that makes no sense; nothing may follow either.
	closed map[messages.OrderID]closing
	claims []claim
	// plans are shared by the orders that were accepted under them.
	plans map[string]*messages.Plan
}

// history is an order that has not ended.
type history struct {
	state order.State
	// driver is the latest one, also while the order rests.
	driver order.Source
}

// closing says why nothing may follow.
type closing uint8

const (
	ended closing = iota + 1
	broken
)

func newBook(r *Report) *book {
	return &book{
		report: r,
		live:   map[messages.OrderID]*history{},
		closed: map[messages.OrderID]closing{},
		plans:  map[string]*messages.Plan{},
	}
}

// enter takes in the journal entry stored at seq.
func (b *book) enter(seq uint64, subject string, body []byte) {
	id, err := messages.IDFromSubject(messages.SubjectEvent, subject)
	if err != nil {
		b.report.offend("", fmt.Sprintf("journal entry %d: %v", seq, err))
		return
	}
	entry := new(messages.JournalEntry)
	if err := proto.Unmarshal(body, entry); err != nil {
		b.breakOff(id, fmt.Sprintf("journal entry %d cannot be decoded: %v; %s", seq, err, remedy(seq)))
		return
	}
	if entry.GetOrderId() != string(id) {
		b.breakOff(id, fmt.Sprintf("journal entry %d is about order %q; %s", seq, entry.GetOrderId(), remedy(seq)))
		return
	}
	switch b.closed[id] {
	case ended:
		b.breakOff(id, fmt.Sprintf("entry %d follows the end of the order", entry.GetNumber()))
		return
	case broken:
		return
	}
	h := b.live[id]
	if h == nil {
		// The id must not keep the subject alive.
		id = messages.OrderID(strings.Clone(string(id)))
		h = new(history)
		b.live[id] = h
	} else {
		id = h.state.ID
	}
	b.prepare(h, id, entry)
	if err := h.state.CheckCheckpoint(bare(entry)); err != nil {
		b.breakOff(id, fmt.Sprintf("entry %d: %s", entry.GetNumber(), err))
		return
	}
	if err := h.state.Apply(seq, entry); err != nil {
		b.breakOff(id, err.Error())
		return
	}
	h.state.ID = id
	h.strip()
	if h.state.Status.Terminal() {
		b.end(id, h.state.Status)
	}
}

// remedy is what to do about an entry that keeps its order from being read.
func remedy(seq uint64) string {
	return fmt.Sprintf("no node can read the order with it: if none wrote it, remove it with \"nats stream rmm %s %d\"", messages.StreamEvents, seq)
}

// prepare takes the entry's claims and drivers, and what is worth sharing.
func (b *book) prepare(h *history, id messages.OrderID, entry *messages.JournalEntry) {
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_Accepted:
			if h.state.Status == order.None {
				b.report.Orders.Accepted++
			}
			k.Accepted.Plan = b.share(k.Accepted.GetPlan())
			h.driver = source(k.Accepted.GetDriver())
			b.claim(id, k.Accepted.GetDriver(), true)
		case *messages.Event_Resumed:
			h.driver = source(k.Resumed.GetDriver())
		case *messages.Event_CancelRequested:
			b.claim(id, k.CancelRequested.GetSource(), false)
		case *messages.Event_Signalled:
			b.claim(id, k.Signalled.GetSource(), false)
		case *messages.Event_Recorded:
			b.claim(id, k.Recorded.GetSource(), false)
		}
	}
}

func (b *book) claim(id messages.OrderID, s *messages.Source, accepted bool) {
	if s.GetStream() != messages.StreamOrders {
		b.report.offend(id, fmt.Sprintf("its history takes in message %d of stream %q, which is no inbox of orders", s.GetSequence(), s.GetStream()))
		return
	}
	b.claims = append(b.claims, claim{seq: s.GetSequence(), order: id, accepted: accepted})
}

func (b *book) share(p *messages.Plan) *messages.Plan {
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return p
	}
	if shared, ok := b.plans[string(key)]; ok {
		return shared
	}
	b.plans[string(key)] = p
	return p
}

// strip drops what legality does not depend on.
func (h *history) strip() {
	s := &h.state
	s.Order = nil
	for i := range s.Results {
		s.Results[i].Data = nil
	}
	for _, sig := range s.Signals {
		sig.Data = nil
	}
	if s.LastFailure != nil {
		s.LastFailure.Error = ""
	}
}

// bare drops the same of the entry's checkpoint.
func bare(entry *messages.JournalEntry) *messages.JournalEntry {
	bareState(entry.GetCheckpoint())
	return entry
}

func bareState(c *messages.Checkpoint) {
	for _, r := range c.GetResults() {
		r.Data = nil
	}
	for _, sig := range c.GetSignals() {
		sig.Data = nil
	}
	if f := c.GetLastFailure(); f != nil {
		f.Error = ""
	}
}

func (b *book) end(id messages.OrderID, status order.Status) {
	delete(b.live, id)
	b.closed[id] = ended
	switch status {
	case order.Completed:
		b.report.Orders.Completed++
	case order.Rejected:
		b.report.Orders.Rejected++
	case order.Cancelled:
		b.report.Orders.Cancelled++
	}
}

// breakOff gives up a history that makes no sense; what follows is not looked at.
func (b *book) breakOff(id messages.OrderID, reason string) {
	if b.closed[id] == broken {
		return
	}
	id = messages.OrderID(strings.Clone(string(id)))
	delete(b.live, id)
	b.closed[id] = broken
	b.report.offend(id, reason)
}

// forget drops an order that was removed from the journal while it was read.
func (b *book) forget(id messages.OrderID) {
	delete(b.live, id)
	b.report.Orders.Accepted--
}

// count adds the orders that have not ended.
func (b *book) count() {
	o, causes := &b.report.Orders, causes{}
	for id, h := range b.live {
		switch {
		case h.state.Status.Driven():
			o.InFlight++
		case h.state.Status == order.Parked:
			o.Parked++
			switch h.state.ParkedFor() {
			case order.ParkPending:
				o.ParkedFor.Pending++
			case order.ParkRetry:
				o.ParkedFor.Retry++
			default:
				o.ParkedFor.Outage++
			}
		case h.state.Status == order.Attention:
			o.Attention++
			causes.add(id, h.state.AttentionCause)
		}
	}
	b.report.AttentionCauses = causes.top(MaxCauses)
}

func source(s *messages.Source) order.Source {
	return order.Source{Stream: s.GetStream(), Sequence: s.GetSequence()}
}
