package index_test

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/index"
)

// FuzzDecode: whatever is in the journal, decoding it does not panic, and what the library can read as an entry is read
// alike.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		one := newTale(r, "o-1")
		for range i {
			one.next()
		}
		for _, e := range one.entries {
			body, err := journal.Encode(nil, e)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(body)
		}
	}
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var e messages.JournalEntry
		if _, _, _, _, err := index.Decode(body); err != nil || proto.Unmarshal(body, &e) != nil {
			return
		}
		again, failed := journal.Encode(nil, &e)
		if failed != nil {
			t.Skip()
		}
		id, customer, plan, kinds, err := index.Decode(again)
		if err != nil {
			t.Fatalf("%v: %v", &e, err)
		}
		if id != e.GetOrderId() || len(kinds) > len(e.GetEvents()) {
			t.Errorf("order %q with events %v: want those of %v", id, kinds, &e)
		}
		for i, ev := range e.GetEvents() {
			if len(kinds) != len(e.GetEvents()) { // an event of no kind
				break
			}
			if a := ev.GetAccepted(); a != nil && i == len(kinds)-1 && len(a.GetOrder().GetCustomerId()) < 200 && len(a.GetPlan().GetName()) < 100 {
				if customer != a.GetOrder().GetCustomerId() || plan != a.GetPlan().GetName() {
					t.Errorf("customer %q, plan %q: want those of %v", customer, plan, a)
				}
			}
		}
	})
}
