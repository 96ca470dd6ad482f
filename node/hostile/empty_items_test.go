package hostile_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// 256 KiB of protobuf hold 131,000 items of no bytes, each of which would be a value of its own in memory.
func TestHostileEmptyItems(t *testing.T) {
	play(t, scenario{name: "orders of 131,000 empty items", send: func(h *harness) {
		item := []byte{3<<3 | 2, 0} // field 3, length-delimited, empty
		body := bytes.Repeat(item, 131_000)
		h.publish(h.size(64, 640), func(i int) *nats.Msg { return about(fmt.Sprintf("empty-%d", i), "", body) })
		// As many as are decoded: an order that is invalid, in little space.
		body = append(bytes.Repeat(item, 16_000), 0x12, 3, 'c', '-', '1')
		h.publish(h.size(200, 10_000), func(i int) *nats.Msg { return about(fmt.Sprintf("many-%d", i), "", body) })
		h.taken()
	}})
}
