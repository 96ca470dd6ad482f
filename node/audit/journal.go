package audit

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/nats-io/nats.go"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// journal folds the entries of all orders, which are interleaved, and keeps only the data of each order that the report needs.
type journal struct {
	report *Report
	live   map[messages.OrderID]*history
	// closed orders have ended, or have an illegal history: none of their later entries is folded.
	closed       map[messages.OrderID]closed
	attributions []attribution
	// plans holds one copy of each plan, by its encoding.
	plans map[string]*messages.Plan
}

// history is an order that has not ended.
type history struct {
	replay.Order
	// driver is the latest one, also while the order is parked or in attention.
	driver *messages.Source
	// messages counts those on the order's subject, seen is the sequence of the last one: foreign ones are among them.
	messages, seen uint64
}

// closed is an order that takes no further entry, with the number and the sequence of its last one.
type closed struct {
	why          closing
	number, last uint64
}

// closing is why no entry may follow.
type closing uint8

const (
	ended closing = iota + 1
	illegal
)

func newJournal(r *Report) *journal {
	return &journal{report: r, live: map[messages.OrderID]*history{}, closed: map[messages.OrderID]closed{}, plans: map[string]*messages.Plan{}}
}

// add folds the entry stored at seq, and reports whether it is one: a message that no node stored is only counted.
func (j *journal) add(seq uint64, subject string, header nats.Header, body []byte) bool {
	id, err := messages.IDFromSubject(messages.SubjectEvent, subject)
	entry, place := new(messages.JournalEntry), messages.Foreign
	expected, fenced := messages.Fence(header)
	if err == nil && fenced && proto.Unmarshal(body, entry) == nil && entry.GetOrderId() == string(id) {
		link := messages.Link{Number: uint64(entry.GetNumber()), Previous: entry.GetPrevious(), Expected: expected}
		place = link.After(j.last(id))
	}
	h := j.live[id]
	if h != nil {
		h.messages, h.seen = h.messages+1, seq
	}
	if place == messages.Foreign {
		if j.closed[id].why != illegal || !fenced {
			j.report.foreign(messages.StreamEvents, seq, subject)
		}
		return false
	}
	switch j.closed[id].why {
	case ended:
		j.reject(id, fmt.Sprintf("entry %d follows the end of the order", entry.GetNumber()))
		return true
	case illegal:
		return true
	}
	if h == nil {
		h = &history{messages: 1, seen: seq}
		h.ID = messages.OrderID(strings.Clone(string(id))) // the subject may be collected
		j.live[h.ID] = h
	}
	id = h.ID
	j.attribute(h, entry)
	trim(entry)
	if err := h.Apply(seq, entry); err != nil {
		j.reject(id, err.Error())
		return true
	}
	h.ID = id
	h.Accepted.Order = nil
	if h.Status().Ended() {
		j.end(h)
	}
	return true
}

// last returns the number and the sequence of the order's last entry.
func (j *journal) last(id messages.OrderID) (number, sequence uint64) {
	if h := j.live[id]; h != nil {
		return uint64(h.Number), h.Last
	}
	c := j.closed[id]
	return c.number, c.last
}

// attribute notes the order that the entry accepts, the messages and the drivers that it names, and shares its plan with
// other orders.
func (j *journal) attribute(h *history, entry *messages.JournalEntry) {
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_Accepted:
			if h.Number == 0 {
				j.report.Orders.Accepted++
			}
			k.Accepted.Plan = j.shared(k.Accepted.GetPlan())
			h.driver = k.Accepted.GetDriver()
			j.addAttribution(h.ID, k.Accepted.GetDriver(), true)
		case *messages.Event_Resumed:
			h.driver = k.Resumed.GetDriver()
		case *messages.Event_CancelRequested:
			j.addAttribution(h.ID, k.CancelRequested.GetSource(), false)
		case *messages.Event_Signalled:
			j.addAttribution(h.ID, k.Signalled.GetSource(), false)
		case *messages.Event_Recorded:
			j.addAttribution(h.ID, k.Recorded.GetSource(), false)
		}
	}
}

func (j *journal) addAttribution(id messages.OrderID, s *messages.Source, accepted bool) {
	if s.GetStream() != messages.StreamOrders {
		j.report.violate(id, fmt.Sprintf("its history records message %d of stream %q, want stream %s", s.GetSequence(), s.GetStream(), messages.StreamOrders))
		return
	}
	j.attributions = append(j.attributions, attribution{seq: s.GetSequence(), order: id, accepted: accepted})
}

func (j *journal) shared(p *messages.Plan) *messages.Plan {
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return p
	}
	if shared, ok := j.plans[string(key)]; ok {
		return shared
	}
	j.plans[string(key)] = p
	return p
}

// blanks are what the data of signals are replaced with.
var blanks = strings.Repeat(" ", messages.MaxBody)

// sameSize is a text of the size of s that takes no memory: the size of the signals that an order keeps is bounded.
func sameSize(s string) string { return blanks[:min(len(s), len(blanks))] }

// trim removes data and error texts from an entry: legality does not depend on them.
func trim(entry *messages.JournalEntry) {
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_StepCompleted:
			k.StepCompleted.Data = ""
		case *messages.Event_Signalled:
			k.Signalled.Data = sameSize(k.Signalled.Data)
		case *messages.Event_StepFailed:
			k.StepFailed.Error = ""
		}
	}
	trimState(entry.GetCheckpoint())
}

// trimState removes the same from a state.
func trimState(c *messages.Checkpoint) {
	for _, r := range c.GetResults() {
		r.Data = ""
	}
	for _, sig := range c.GetSignals() {
		sig.Data = sameSize(sig.Data)
	}
	if f := c.GetLastFailure(); f != nil {
		f.Error = ""
	}
}

func (j *journal) end(h *history) {
	delete(j.live, h.ID)
	j.closed[h.ID] = closed{ended, uint64(h.Number), h.Last}
	switch h.Status() {
	case replay.Completed:
		j.report.Orders.Completed++
	case replay.Rejected:
		j.report.Orders.Rejected++
	case replay.Cancelled:
		j.report.Orders.Cancelled++
	}
}

// reject reports an illegal history; later entries of the order are not folded.
func (j *journal) reject(id messages.OrderID, reason string) {
	if j.closed[id].why == illegal {
		return
	}
	id = messages.OrderID(strings.Clone(string(id)))
	delete(j.live, id)
	j.closed[id] = closed{why: illegal}
	j.report.violate(id, reason)
}

// forget removes an order that was deleted from the journal during the read.
func (j *journal) forget(id messages.OrderID) {
	delete(j.live, id)
	j.report.Orders.Accepted--
}

// count adds the orders that have not ended.
func (j *journal) count() {
	o, causes := &j.report.Orders, causes{}
	for id, h := range j.live {
		switch h.Status() {
		case replay.Parked:
			o.Parked++
			switch h.Wait {
			case replay.WaitPending:
				o.ParkedFor.Pending++
			case replay.WaitRetry:
				o.ParkedFor.Retry++
			case replay.WaitOutage:
				o.ParkedFor.Outage++
			}
		case replay.Attention:
			o.Attention++
			causes.add(id, h.State.GetNeed())
		default:
			o.InFlight++
		}
	}
	j.report.AttentionCauses = causes.top(MaxCauses)
}
