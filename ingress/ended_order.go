package ingress

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// terminalEvents are the events that end an order, as HeaderEvent names them.
var terminalEvents = []string{"completed", "rejected", "cancelled"}

// histories collects the messages of the inbox that the entries of each order name.
type histories map[messages.OrderID][]uint64

// endedOrder is an order whose entry at sequence end ends it, with the messages of the inbox that its history names.
type endedOrder struct {
	id    messages.OrderID
	end   uint64
	named []uint64
}

// add reads the entry stored at that sequence, and reports whether it ends its order. It passes over what is no entry.
func (h histories) add(sequence uint64, m jetstream.Msg) (order endedOrder, ends bool) {
	id, err := messages.IDFromSubject(messages.SubjectEvent, m.Subject())
	if _, fenced := messages.Fence(m.Headers()); err != nil || !fenced {
		return endedOrder{}, false
	}
	entry := &messages.JournalEntry{}
	if proto.Unmarshal(m.Data(), entry) == nil && entry.GetOrderId() == string(id) {
		for _, e := range entry.GetEvents() {
			if s := messages.SourceOf(e); s.GetStream() == messages.StreamOrders {
				h[id] = append(h[id], s.GetSequence())
			}
		}
	}
	events := strings.Split(headerValue(m.Headers(), messages.HeaderEvent), ",")
	if !slices.ContainsFunc(terminalEvents, func(end string) bool { return slices.Contains(events, end) }) {
		return endedOrder{}, false
	}
	order = endedOrder{id: id, end: sequence, named: h[id]}
	delete(h, id)
	return order, true
}
