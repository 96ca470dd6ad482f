package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// largeOrder is an order of about 200 KiB.
func largeOrder(id string) []byte {
	item := fmt.Appendf(nil, `{"product_id":"%s","quantity":1,"unit_price":1}`, strings.Repeat("x", 200))
	items := bytes.Join(slices.Repeat([][]byte{item}, 900), []byte(","))
	return fmt.Appendf(nil, `{"order_id":%q,"customer_id":"c-1","items":[%s]}`, id, items)
}

// Large orders fill the store while a service is away. What was accepted must be able to end, and the rest must stay in the inbox.
func TestHostileStoreFilledByOrders(t *testing.T) {
	h := newHarness(t, []string{fmt.Sprintf("ORDERLY_MAX_STORE=%d", size(24, 300)), "ORDERLY_HOLD=1s"})
	h.service.leave(t)

	// Publish until the node leaves orders in the inbox, and the inbox is full.
	stored := 0
	natstest.Within(t, 3*natstest.Patience, "a publisher is refused, and the node says that it has no room", func() bool {
		id := fmt.Sprintf("large-%d", stored)
		_, err := h.js.PublishMsg(h.Context(), about(id, "", largeOrder(id)))
		refusal := &jetstream.APIError{}
		switch {
		case err == nil:
			stored++
			return false
		case !errors.As(err, &refusal):
			t.Fatalf("publish: %v", err)
		case refusal.Description != "maximum bytes exceeded":
			t.Fatalf("the publisher is refused with %v", refusal)
		}
		code, body := h.node.probe("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "room: no room for new orders: the store has ")
	})
	resp, err := http.Post(h.node.httpURL+"/v1/orders", "application/json", bytes.NewReader(orderBody("small")))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("POST /v1/orders: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}

	h.service.serve(t)
	returned := time.Now()
	natstest.Within(t, 3*natstest.Patience, "all accepted orders have ended", func() bool {
		code, body := h.node.probe("/v1/orders?status=running,parked,attention&limit=1")
		return code == http.StatusOK && strings.Contains(body, `"orders":[]`)
	})
	_, completed := h.node.probe("/v1/orders?status=completed&limit=1")
	if !strings.Contains(completed, "large-") {
		t.Errorf("no order has completed: %s", completed)
	}
	t.Logf("%d orders stored; the accepted ones ended %s after the service returned", stored, time.Since(returned).Round(time.Second))
	h.verify()

	// With more room the node takes the others.
	h.node.terminate()
	h.start("ORDERLY_MAX_STORE=2000")
	h.taken()
	h.verify()
	h.node.terminate()
}
