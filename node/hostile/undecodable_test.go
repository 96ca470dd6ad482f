package hostile_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// Every message becomes a dead letter, the largest as well as the smallest.
func TestHostileUndecodable(t *testing.T) {
	play(t, scenario{name: "messages that nobody can decode", send: func(h *harness) {
		large := bytes.Repeat([]byte{0xff}, 500_000)
		h.publish(h.size(2000, 100_000), func(i int) *nats.Msg {
			body := []byte(`{"order_id": "cut`)
			if i%20 == 0 {
				body = large
			}
			return about(fmt.Sprintf("undecodable-%d", i), "", body)
		})
		h.taken()
	}})
}
