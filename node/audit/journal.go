package audit

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// journal folds the entries of all orders, which are interleaved, and keeps only the data of each order that the report needs.
type journal struct {
	report *Report
	live   map[messages.OrderID]*history
	// closed orders have ended, or have an illegal history: none of their later entries is folded.
	closed       map[messages.OrderID]closing
	attributions []attribution
	// plans holds one copy of each plan, by its encoding.
	plans map[string]*messages.Plan
}

// history is an order that has not ended.
type history struct {
	replay.Order
	// driver is the latest one, also while the order is parked or in attention.
	driver *messages.Source
}

// closing is why no entry may follow.
type closing uint8

const (
	ended closing = iota + 1
	illegal
)

func newJournal(r *Report) *journal {
	return &journal{report: r, live: map[messages.OrderID]*history{}, closed: map[messages.OrderID]closing{}, plans: map[string]*messages.Plan{}}
}

// add folds the entry stored at seq.
func (j *journal) add(seq uint64, subject string, body []byte) {
	id, err := messages.IDFromSubject(messages.SubjectEvent, subject)
	if err != nil {
		j.report.violate("", fmt.Sprintf("journal entry %d: %v", seq, err))
		return
	}
	entry := new(messages.JournalEntry)
	if err := proto.Unmarshal(body, entry); err != nil {
		j.reject(id, fmt.Sprintf("journal entry %d cannot be decoded: %v; %s", seq, err, remedy(seq)))
		return
	}
	if entry.GetOrderId() != string(id) {
		j.reject(id, fmt.Sprintf("journal entry %d is about order %q; %s", seq, entry.GetOrderId(), remedy(seq)))
		return
	}
	switch j.closed[id] {
	case ended:
		j.reject(id, fmt.Sprintf("entry %d follows the end of the order", entry.GetNumber()))
		return
	case illegal:
		return
	}
	h := j.live[id]
	if h == nil {
		h = new(history)
		h.ID = messages.OrderID(strings.Clone(string(id))) // the subject may be collected
		j.live[h.ID] = h
	}
	id = h.ID
	j.attribute(h, entry)
	trim(entry)
	if err := h.Apply(seq, entry); err != nil {
		j.reject(id, err.Error())
		return
	}
	h.ID = id
	h.Accepted.Order = nil
	if h.Status().Ended() {
		j.end(id, h.Status())
	}
}

// remedy is the advice about an entry that makes its order unreadable.
func remedy(seq uint64) string {
	return fmt.Sprintf("no node can read the order with it: if no node wrote it, remove it with \"nats stream rmm %s %d\"", messages.StreamEvents, seq)
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

// trim removes data and error texts from an entry: legality does not depend on them.
func trim(entry *messages.JournalEntry) {
	for _, e := range entry.GetEvents() {
		switch k := e.GetKind().(type) {
		case *messages.Event_StepCompleted:
			k.StepCompleted.Data = ""
		case *messages.Event_Signalled:
			k.Signalled.Data = ""
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
		sig.Data = ""
	}
	if f := c.GetLastFailure(); f != nil {
		f.Error = ""
	}
}

func (j *journal) end(id messages.OrderID, status replay.Status) {
	delete(j.live, id)
	j.closed[id] = ended
	switch status {
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
	if j.closed[id] == illegal {
		return
	}
	id = messages.OrderID(strings.Clone(string(id)))
	delete(j.live, id)
	j.closed[id] = illegal
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
