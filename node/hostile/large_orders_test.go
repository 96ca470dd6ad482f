package hostile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// The largest orders that are valid, whose payments take long: a node must not hold as many of them as of small ones.
func TestHostileLargeOrders(t *testing.T) {
	play(t, scenario{name: "many of the largest orders at once", valid: true, send: func(h *harness) {
		line := fmt.Sprintf(`{"product_id":"%s","quantity":1,"unit_price":5}`, strings.Repeat("p", 200))
		items := strings.Repeat(line+",", 999) + line
		h.publish(h.size(400, 3000), func(i int) *nats.Msg {
			id := fmt.Sprintf(slow+"%d", i)
			return about(id, "", fmt.Appendf(nil, `{"order_id":%q,"customer_id":"c-1","items":[%s]}`, id, items))
		})
		h.taken()
	}})
}
