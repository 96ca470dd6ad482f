package ingress_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestStored(t *testing.T) {
	_, js := startServer(t)
	lookup := ingress.NewLookup(js)
	signal := func(id, body string) uint64 {
		return storeMsg(t, js, "ORDER."+id, nats.Header{messages.HeaderType: {string(messages.TypeSignal)}}, body)
	}
	stored := func(id messages.OrderID) (all []*delivery.Delivery, sequences []uint64) {
		t.Helper()
		all, err := lookup.Stored(natstest.Context(t), id)
		if err != nil || all == nil {
			t.Fatalf("stored about %s: %v, %v", id, all, err)
		}
		for _, d := range all {
			sequences = append(sequences, d.Sequence)
		}
		return all, sequences
	}

	storeMsg(t, js, "ORDER.alone", nil, orderJSON("alone"))
	if _, none := stored("alone"); len(none) > 0 {
		t.Errorf("stored about an order, while none has two messages: %v", none)
	}
	first := signal("a", `{"name":"paid","data":7}`)
	created := storeMsg(t, js, "ORDER.a", nil, orderJSON("a"))
	signal("a", `not JSON`)
	signal("b", `{"name":"paid"}`)
	last := storeMsg(t, js, "ORDER.a", nats.Header{messages.HeaderType: {string(messages.TypeCancel)}}, `{"reason":"no more"}`)
	all, sequences := stored("a")
	if !slices.Equal(sequences, []uint64{first, created, last}) {
		t.Fatalf("messages %v, want %v", sequences, []uint64{first, created, last})
	}
	if d := all[0]; d.OrderID != "a" || d.Type != messages.TypeSignal || d.Signal.GetData() != "7" || d.Stream != messages.StreamOrders || d.Stored.IsZero() {
		t.Errorf("signal %+v", d)
	}
	if d := all[1]; d.Type != messages.TypeCreated || d.Created != nil {
		t.Errorf("created %+v", d)
	}
	if d := all[2]; d.Cancel.GetReason() != "no more" {
		t.Errorf("cancel %+v", d)
	}
	if _, one := stored("alone"); len(one) != 1 {
		t.Errorf("stored about alone, while other orders have more messages: %v", one)
	}
	if _, none := stored("c"); len(none) > 0 {
		t.Errorf("stored about c: %v", none)
	}

	// All of it fits into one journal entry.
	for i := range 100 {
		signal("many", `{"name":"paid","data":`+strconv.Itoa(i)+`}`)
	}
	if _, sequences := stored("many"); len(sequences) != 64 {
		t.Errorf("%d messages, want 64", len(sequences))
	}
	for range 3 {
		signal("large", `{"name":"paid","data":"`+strings.Repeat("x", 30<<10)+`"}`)
	}
	if _, sequences := stored("large"); len(sequences) != 2 {
		t.Errorf("%d messages, want the two that have 64 KiB together", len(sequences))
	}
}
