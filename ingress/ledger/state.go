package ledger

import (
	"github.com/orderly-engine/orderly/messages"
)

// State is what the ledger says.
type State struct {
	// Floor is the last sequence that the inbox had when the ledger was created: of messages up to it there may be no evidence.
	Floor uint64
	// Set has every sequence of the ledger.
	Set Set
	// Counts divides Set by kind.
	Counts Counts
	// Foreign are the messages of the stream that no node stored.
	Foreign []ForeignMessage

	// last is the sequence of the ledger up to which it was read, lastSummary that of the last message on the subject of
	// summaries, through and parts those of the newest summary, which is nil without one.
	last, lastSummary uint64
	summary           *messages.LedgerSummary
}

// Counts are numbers of messages.
type Counts struct{ WithoutEffect, DeadLettered, HistoryDeleted, WrittenOff uint64 }

// ForeignMessage is a message of the stream that no node stored.
type ForeignMessage struct {
	Sequence uint64
	Subject  string
}

// kinds in the order in which a message of several kinds counts.
func (c *Counts) byKind() []struct {
	kind  messages.LedgerKind
	count *uint64
} {
	return []struct {
		kind  messages.LedgerKind
		count *uint64
	}{
		{messages.LedgerKind_LEDGER_KIND_HISTORY_DELETED, &c.HistoryDeleted},
		{messages.LedgerKind_LEDGER_KIND_DEAD_LETTERED, &c.DeadLettered},
		{messages.LedgerKind_LEDGER_KIND_WITHOUT_EFFECT, &c.WithoutEffect},
		{messages.LedgerKind_LEDGER_KIND_WRITTEN_OFF, &c.WrittenOff},
	}
}

// fold adds up the messages: the parts of the newest summary, and the records after what it replaces.
func (s *State) fold(all []stored) {
	for _, m := range all {
		if m.summary != nil && m.summary.GetThrough() >= s.summary.GetThrough() {
			s.summary = m.summary
		}
	}
	n := s.summary
	s.Floor = n.GetFloor()
	s.Counts = Counts{n.GetWithoutEffect(), n.GetDeadLettered(), n.GetHistoryDeleted(), n.GetWrittenOff()}
	var parts []Run
	byKind := map[messages.LedgerKind][]Run{}
	for _, m := range all {
		switch {
		case m.record == nil:
		case m.record.partOf != "":
			if m.record.partOf == n.GetId() {
				parts = append(parts, m.record.set...)
			}
		case m.sequence > n.GetThrough():
			byKind[m.record.kind] = append(byKind[m.record.kind], m.record.set...)
		}
	}
	s.Set = merge(parts)
	for _, each := range s.Counts.byKind() {
		added := merge(byKind[each.kind])
		*each.count += added.Without(s.Set).Len()
		s.Set = s.Set.Union(added)
	}
}
