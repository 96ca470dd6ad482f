package ingress_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages/budget"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestHeldDeliveriesAreBoundedInBytes: a node takes no more than its memory allows, and all of it in the end.
func TestHeldDeliveriesAreBoundedInBytes(t *testing.T) {
	js := natstest.JetStream(t, natstest.Connect(t, natstest.Start(t).ClientURL()))
	ensureStreams(t, js, testAckWait)
	const orders, size = 60, 100_000
	for i := range orders {
		id := fmt.Sprintf("o-%d", i)
		storeMsg(t, js, "ORDER."+id, nil, fmt.Sprintf(`{"order_id":%q,"customer_id":"c","items":[{"product_id":%q,"quantity":1}]}`, id, strings.Repeat("p", size)))
	}
	const limit = 10 * 2 * size
	memory := budget.New(limit)
	in := startInbox(t, js, ingress.Config{Memory: memory})
	var most int64
	for settled := 0; settled < orders; {
		held := []*delivery.Delivery{in.next()}
		for more := true; more; {
			select {
			case d := <-in.deliveries:
				held = append(held, d)
			case <-time.After(50 * time.Millisecond):
				more = false
			}
		}
		most = max(most, memory.Used())
		for _, d := range held {
			d.Settle(delivery.Done())
		}
		settled += len(held)
	}
	in.settleAll(js)
	if most > limit+3*size {
		t.Errorf("%d bytes were held: want at most %d and one message", most, limit)
	}
	natstest.Eventually(t, "nothing is counted any more", func() bool { return memory.Used() == 0 })
}
