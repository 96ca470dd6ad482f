package hostile_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// Small orders, far more at once than a node carries out in a second. All of them are valid.
func TestHostileFlood(t *testing.T) {
	play(t, scenario{name: "many small orders at once", valid: true, send: func(h *harness) {
		h.publish(h.size(20_000, 250_000), func(i int) *nats.Msg {
			id := fmt.Sprintf("flood-%d", i)
			return about(id, "", orderBody(id))
		})
		h.taken()
	}})
}
