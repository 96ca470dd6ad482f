package ledger

import (
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const contentType = "application/protobuf"

// encode makes the message of a record or a summary.
func encode(subject string, content proto.Message) (*nats.Msg, error) {
	body, err := proto.Marshal(content)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(subject)
	m.Header.Set(messages.HeaderContentType, contentType)
	m.Data = body
	return m, nil
}

// stored is a message of the ledger. If both fields are nil, no node stored it.
type stored struct {
	sequence uint64
	summary  *messages.LedgerSummary
	record   *record
}

// record is a decoded LedgerRecord.
type record struct {
	kind   messages.LedgerKind
	partOf string
	set    Set
}

// decode reads a stored message. An acknowledgement that a client sent here by a reply subject has no headers.
func decode(m *natsclient.StoredMsg) stored {
	s := stored{sequence: m.Sequence}
	if m.Headers().Get(messages.HeaderContentType) != contentType {
		return s
	}
	switch m.Subject {
	case messages.SubjectLedgerSummary:
		summary := &messages.LedgerSummary{}
		if proto.Unmarshal(m.Data, summary) == nil && summary.GetId() != "" {
			s.summary = summary
		}
	case messages.SubjectLedgerRecord:
		encoded := &messages.LedgerRecord{}
		if proto.Unmarshal(m.Data, encoded) != nil {
			return s
		}
		if set, err := decodeSet(encoded.GetRuns()); err == nil {
			s.record = &record{encoded.GetKind(), encoded.GetPartOf(), set}
		}
	}
	return s
}
