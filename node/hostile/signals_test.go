package hostile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// Signals that no step waits for, to orders whose payments wait for another one.
func TestHostileSignals(t *testing.T) {
	play(t, scenario{name: "signals that no step waits for", send: func(h *harness) {
		small, large := waiting+"small", waiting+"large"
		h.publish(1, func(int) *nats.Msg { return about(small, "", orderBody(small)) })
		h.publish(1, func(int) *nats.Msg { return about(large, "", orderBody(large)) })
		natstest.Eventually(h, "the payments are pending", func() bool { return h.service.callsOf(small) > 0 && h.service.callsOf(large) > 0 })
		data := "[" + strings.Repeat("0,", 65_000) + "0]"
		h.publish(h.size(30, 300), func(i int) *nats.Msg {
			return about(large, messages.TypeSignal, fmt.Appendf(nil, `{"name":"other-%d","data":%s}`, i, data))
		})
		h.publish(h.size(500, 5000), func(i int) *nats.Msg {
			return about(small, messages.TypeSignal, fmt.Appendf(nil, `{"name":"other-%d"}`, i))
		})
		h.taken()
		for i := range h.size(20, 300) { // one by one: the order is at rest before each
			h.publish(1, func(int) *nats.Msg {
				return about(small, messages.TypeSignal, fmt.Appendf(nil, `{"name":"single-%d"}`, i))
			})
			h.taken()
		}
		for _, id := range []string{small, large} {
			if calls := h.service.callsOf(id); calls != 1 {
				h.Errorf("the payment of order %s was called %d times: want once", id, calls)
			}
		}
		for _, id := range []string{small, large} {
			h.publish(1, func(int) *nats.Msg { return about(id, messages.TypeSignal, []byte(`{"name":"paid"}`)) })
		}
		h.taken()
	}})
}
