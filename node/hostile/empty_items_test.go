package hostile_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// emptyItem is an item in an order in protobuf.
var emptyItem = []byte{3<<3 | 2, 0} // field 3, length-delimited, empty

// 256 KiB of protobuf hold 131,000 items of no bytes, each of which would be a value of its own in memory.
func TestHostileEmptyItems(t *testing.T) {
	play(t, scenario{name: "orders of 131,000 empty items", send: func(h *harness) {
		body := bytes.Repeat(emptyItem, 131_000)
		h.publish(h.size(64, 640), func(i int) *nats.Msg { return about(fmt.Sprintf("empty-%d", i), "", body) })
		h.taken()
	}})
}

// As many items as are decoded: orders that end as rejected, each of which is small as a message and large in memory.
func TestHostileManyItems(t *testing.T) {
	play(t, scenario{name: "orders of 16,000 empty items", valid: true, send: func(h *harness) {
		body := bytes.Repeat(emptyItem, 16_000)
		h.publish(h.size(200, 5000), func(i int) *nats.Msg { return about(fmt.Sprintf("many-%d", i), "", body) })
		h.taken()
	}})
}
