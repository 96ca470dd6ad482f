package hostile_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// In the full form there are more messages than all nodes may have unsettled of wake-ups.
func TestHostileUnknownOrders(t *testing.T) {
	play(t, scenario{name: "cancels of orders that do not exist", environ: []string{"ORDERLY_UNKNOWN_AGE=30s"}, send: func(h *harness) {
		h.publish(h.size(2000, 40_000), func(i int) *nats.Msg {
			return about(fmt.Sprintf("unknown-%d", i), messages.TypeCancel, nil)
		})
		h.taken()
	}})
}
