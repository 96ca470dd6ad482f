package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
)

// MaxListed is how many violations, and how many warnings, a report lists; it counts all.
const MaxListed = 1000

// Report is the result of an audit.
type Report struct {
	// Taken is when the inbox was read.
	Taken time.Time `json:"taken"`
	// Orders are counted by their state in the journal when that was read.
	Orders Orders `json:"orders"`
	Inbox  Inbox  `json:"inbox"`
	Timers Timers `json:"timers"`
	// AttentionCauses are the most frequent causes of attention, MaxCauses at most.
	AttentionCauses []Cause `json:"attention_causes"`
	// Journal and Dead are the streams' own counts.
	Journal StreamCount `json:"journal"`
	Dead    StreamCount `json:"dead_letters"`
	// ViolationCount counts the violations, Violations lists the first MaxListed of them.
	ViolationCount int         `json:"offending"`
	Violations     []Violation `json:"offenses"`
	// WarningCount counts the warnings, of messages in the streams that no node stored, which are not part of the audit; Warnings
	// lists the first MaxListed of them.
	WarningCount int      `json:"warned"`
	Warnings     []string `json:"warnings"`
	// ForeignCount counts the messages that no node stored; Foreign are the first MaxForeign of them.
	ForeignCount int              `json:"foreign"`
	Foreign      []ForeignMessage `json:"-"`
	// Lost are the messages of the inbox that nothing accounts for.
	Lost ledger.Set `json:"-"`
}

// Orders counts the orders of the journal by their state.
type Orders struct {
	Accepted  uint64 `json:"accepted"`
	Completed uint64 `json:"completed"`
	Rejected  uint64 `json:"rejected"`
	Cancelled uint64 `json:"cancelled"`
	InFlight  uint64 `json:"in_flight"`
	Parked    uint64 `json:"parked"`
	Attention uint64 `json:"attention"`
	// ParkedFor divides the parked orders by what they wait for.
	ParkedFor ParkedFor `json:"parked_for"`
}

// ParkedFor counts parked orders by what they wait for.
type ParkedFor struct {
	Pending uint64 `json:"pending"`
	Retry   uint64 `json:"retry"`
	Outage  uint64 `json:"outage"`
}

// Timers counts the orders with a message in ORDER_TIMERS, and those that need one. Stored is the sum of Scheduled,
// Waking, Stale and Orphaned.
type Timers struct {
	Stored uint64 `json:"stored"`
	// Scheduled are parked, and their timers will wake them.
	Scheduled uint64 `json:"scheduled"`
	// Waking have a timer that fired, and its wake-up is not settled.
	Waking uint64 `json:"waking"`
	// Stale are no longer parked, or have ended: their timers fire without effect.
	Stale uint64 `json:"stale"`
	// Orphaned are orders whose history was removed since (Journal.Removed): their timers fire without effect.
	Orphaned uint64 `json:"orphaned"`
	// Unscheduled are parked and have no timer yet: the message that parked them is stored, and its delivery schedules it.
	Unscheduled uint64 `json:"unscheduled"`
}

// Inbox counts the messages that the inbox had ever stored when it was read. EverStored is the sum of the other counts.
type Inbox struct {
	EverStored uint64 `json:"ever_stored"`
	// Waiting were stored, and neither in the journal nor in the ledger.
	Waiting uint64 `json:"waiting"`
	// Held were stored and in the journal: their deliveries drive orders, or were about to be settled.
	Held uint64 `json:"held"`
	// Accepted, Recorded and DeadLettered had left the inbox, and are in the journal or among the dead letters.
	Accepted     uint64 `json:"accepted"`
	Recorded     uint64 `json:"recorded"`
	DeadLettered uint64 `json:"dead_lettered"`
	// WithoutEffect, HistoryDeleted and WrittenOff are in the ledger, as are dead letters: duplicates and messages about orders that
	// had ended; messages of orders whose history was deleted since; and lost ones that an operator wrote off. A message of the
	// ledger may still be stored.
	WithoutEffect  uint64 `json:"without_effect"`
	HistoryDeleted uint64 `json:"history_deleted"`
	WrittenOff     uint64 `json:"written_off"`
	// BeforeLedger had left the inbox without any other evidence, and are not above LedgerFloor: there was no ledger then.
	BeforeLedger uint64 `json:"before_ledger"`
	// Lost had left the inbox without any evidence. Each is named by a violation.
	Lost uint64 `json:"lost"`
	// LedgerFloor is the last message that the inbox had stored when the ledger was begun, 0 for none.
	LedgerFloor uint64 `json:"ledger_floor"`
}

// StreamCount counts what a stream stores, and what was removed from it.
type StreamCount struct {
	Messages uint64 `json:"messages"`
	Removed  uint64 `json:"removed"`
}

// Violation is a defect in what the streams store.
type Violation struct {
	// OrderID is empty when the violation concerns no single order.
	OrderID messages.OrderID `json:"order_id,omitempty"`
	Reason  string           `json:"reason"`
}

// Balanced reports whether the audit found no violation.
func (r *Report) Balanced() bool {
	o := r.Orders
	return r.ViolationCount == 0 && o.Parked == o.ParkedFor.Pending+o.ParkedFor.Retry+o.ParkedFor.Outage &&
		o.Accepted == o.Completed+o.Rejected+o.Cancelled+o.InFlight+o.Parked+o.Attention
}

// MarshalJSON adds balanced.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		Balanced bool `json:"balanced"`
		*plain
	}{r.Balanced(), (*plain)(r)})
}

func (r *Report) violate(id messages.OrderID, reason string) {
	r.ViolationCount++
	if len(r.Violations) < MaxListed {
		r.Violations = append(r.Violations, Violation{OrderID: id, Reason: reason})
	}
}

func (r *Report) warn(text string) {
	r.WarningCount++
	if len(r.Warnings) < MaxListed {
		r.Warnings = append(r.Warnings, text)
	}
}

// lose reports a run of messages of the inbox that nothing accounts for.
func (r *Report) lose(run ledger.Run) {
	name := fmt.Sprintf("message %d of %s is lost: it left", run.First, messages.StreamOrders)
	if run.Len() > 1 {
		name = fmt.Sprintf("messages %d to %d of %s are lost: they left", run.First, run.Last, messages.StreamOrders)
	}
	r.violate("", name+" the inbox, and nothing in the journal, the dead letters or the ledger accounts for that")
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Violations, func(a, b Violation) int { return cmp.Compare(a.OrderID, b.OrderID) })
}
