package audit

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// MaxOffenses is how many offenses a report lists, and how many warnings; it counts all.
const MaxOffenses = 1000

// Report is the ledger.
type Report struct {
	// Taken is when the inbox was read.
	Taken time.Time `json:"taken"`
	// Orders are counted as the journal told when it was read.
	Orders Orders `json:"orders"`
	Inbox  Inbox  `json:"inbox"`
	Timers Timers `json:"timers"`
	// AttentionCauses are the commonest causes for which orders rest in attention, MaxCauses at most.
	AttentionCauses []Cause `json:"attention_causes"`
	// Journal and Dead are the streams' own counts.
	Journal Stored `json:"journal"`
	Dead    Stored `json:"dead_letters"`
	// Offending counts the offenses, Offenses lists the first MaxOffenses of them.
	Offending int       `json:"offending"`
	Offenses  []Offense `json:"offenses"`
	// Warned counts what strangers left in the streams, which is not part of the proof, and Warnings lists the first
	// MaxOffenses of it.
	Warned   int      `json:"warned"`
	Warnings []string `json:"warnings"`
}

// Orders counts the orders of the journal by where they are.
type Orders struct {
	Accepted  uint64 `json:"accepted"`
	Completed uint64 `json:"completed"`
	Rejected  uint64 `json:"rejected"`
	Cancelled uint64 `json:"cancelled"`
	InFlight  uint64 `json:"in_flight"`
	Parked    uint64 `json:"parked"`
	Attention uint64 `json:"attention"`
	// ParkedFor divides the parked ones by what they wait for.
	ParkedFor ParkedFor `json:"parked_for"`
}

// ParkedFor counts parked orders by what they wait for.
type ParkedFor struct {
	Pending uint64 `json:"pending"`
	Retry   uint64 `json:"retry"`
	Outage  uint64 `json:"outage"`
}

// Timers counts the orders of which ORDER_TIMERS stores something, and those that need it to. Stored is the sum of
// Scheduled, Waking, Stale and Orphaned.
type Timers struct {
	Stored uint64 `json:"stored"`
	// Scheduled are parked, and their timers will wake them.
	Scheduled uint64 `json:"scheduled"`
	// Waking have a timer that fired, and its wake-up is not settled.
	Waking uint64 `json:"waking"`
	// Stale are parked no more, or have ended: their timers fire without effect.
	Stale uint64 `json:"stale"`
	// Orphaned are orders whose history was removed since (Journal.Removed): their timers fire without effect.
	Orphaned uint64 `json:"orphaned"`
	// Unscheduled are parked and have no timer yet: the message that parked them is stored, and will schedule it.
	Unscheduled uint64 `json:"unscheduled"`
}

// Inbox counts the messages that the inbox had ever stored when it was read. EverStored is the sum of the others.
type Inbox struct {
	EverStored uint64 `json:"ever_stored"`
	// Waiting were stored, and the journal did not know them.
	Waiting uint64 `json:"waiting"`
	// Held were stored, and the journal knew them: their deliveries carry orders, or were about to be settled.
	Held uint64 `json:"held"`
	// Accepted, Recorded and DeadLettered had left the inbox for the journal and for the dead letters.
	Accepted     uint64 `json:"accepted"`
	Recorded     uint64 `json:"recorded"`
	DeadLettered uint64 `json:"dead_lettered"`
	// WithoutEffect had left the inbox and no trace: duplicates, messages about orders that had ended, and those
	// whose trace was removed since (Journal.Removed, Dead.Removed). It is found by subtraction.
	WithoutEffect uint64 `json:"without_effect"`
}

// Stored counts what a stream stores, and what was removed from it.
type Stored struct {
	Messages uint64 `json:"messages"`
	Removed  uint64 `json:"removed"`
}

// Offense is one thing that cannot be.
type Offense struct {
	// OrderID is empty when the offense concerns no single order.
	OrderID messages.OrderID `json:"order_id,omitempty"`
	Reason  string           `json:"reason"`
}

// Balanced reports whether the ledger proves that nothing was lost.
func (r *Report) Balanced() bool {
	o := r.Orders
	return r.Offending == 0 && o.Parked == o.ParkedFor.Pending+o.ParkedFor.Retry+o.ParkedFor.Outage && o.Accepted == o.Completed+o.Rejected+o.Cancelled+o.InFlight+o.Parked+o.Attention
}

// MarshalJSON adds the verdict.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		Balanced bool `json:"balanced"`
		*plain
	}{r.Balanced(), (*plain)(r)})
}

func (r *Report) offend(id messages.OrderID, reason string) {
	r.Offending++
	if len(r.Offenses) < MaxOffenses {
		r.Offenses = append(r.Offenses, Offense{OrderID: id, Reason: reason})
	}
}

func (r *Report) warn(text string) {
	r.Warned++
	if len(r.Warnings) < MaxOffenses {
		r.Warnings = append(r.Warnings, text)
	}
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Offenses, func(a, b Offense) int { return cmp.Compare(a.OrderID, b.OrderID) })
}
