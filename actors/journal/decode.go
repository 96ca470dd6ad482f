package journal

import (
	"bytes"
	"slices"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// unmarshal decodes an entry. Most of an order's first entry is the plan, and most orders have the same: the last decoded
// plan is shared by all entries with an equal one, and must not change.
func unmarshal(body []byte) (*messages.JournalEntry, error) {
	if e := unmarshalAccepted(body); e != nil {
		return e, nil
	}
	e := new(messages.JournalEntry)
	return e, proto.Unmarshal(body, e)
}

// unmarshalAccepted decodes an entry whose first event is an OrderAccepted with a plan; nil if it is not.
func unmarshalAccepted(body []byte) *messages.JournalEntry {
	event, entry, found := cut(body, entryEvents)
	if !found {
		return nil
	}
	accepted, others, found := cut(event, eventAccepted)
	if !found || len(others) > 0 {
		return nil
	}
	plan, acceptance, found := cut(accepted, acceptedPlan)
	if !found {
		return nil
	}
	e, a := new(messages.JournalEntry), new(messages.OrderAccepted)
	if proto.Unmarshal(entry, e) != nil || proto.Unmarshal(acceptance, a) != nil || a.Plan != nil {
		return nil
	}
	if a.Plan = decodedPlan(plan); a.Plan == nil {
		return nil
	}
	e.Events = slices.Insert(e.Events, 0, &messages.Event{Kind: &messages.Event_Accepted{Accepted: a}})
	return e
}

// cut takes the first occurrence of a field out of an encoded message. rest may share the memory of b.
func cut(b []byte, field protowire.Number) (value, rest []byte, found bool) {
	for at := 0; at < len(b); {
		number, kind, n := protowire.ConsumeField(b[at:])
		if n < 0 {
			return nil, nil, false
		}
		if number == field && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(b[at:])
			value, _ = protowire.ConsumeBytes(b[at+tag:])
			return value, without(b, at, at+n), true
		}
		at += n
	}
	return nil, nil, false
}

// without returns b without b[from:to].
func without(b []byte, from, to int) []byte {
	switch {
	case to == len(b):
		return b[:from:from]
	case from == 0:
		return b[to:]
	}
	return slices.Concat(b[:from], b[to:])
}

var lastDecodedPlan atomic.Pointer[cachedPlan]

func decodedPlan(body []byte) *messages.Plan {
	if last := lastDecodedPlan.Load(); last != nil && bytes.Equal(last.body, body) {
		return last.of
	}
	p := new(messages.Plan)
	if proto.Unmarshal(body, p) != nil {
		return nil
	}
	lastDecodedPlan.Store(&cachedPlan{of: p, body: bytes.Clone(body)})
	return p
}
