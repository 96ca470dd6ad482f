package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/gateway"
)

// TestProbe: a probe sees what is sent and what comes over each transport, and the service gets the body that it returns.
func TestProbe(t *testing.T) {
	nc := connect(t)
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"X-Saw": {string(m.Data)}}, Data: []byte(`{"done":{}}`)})
	}); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Saw", string(body))
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	defer s.Close()
	for target, status := range map[string]int{"nats://wrap": 0, s.URL + "/wrap": http.StatusOK} {
		var mu sync.Mutex
		var key, saw, got string
		var came int
		set := newSet(t, nc, gateway.Config{Probe: &gateway.Probe{
			Sending: func(_ *gateway.Call, header map[string][]string, body []byte) []byte {
				mu.Lock()
				defer mu.Unlock()
				key = strings.Join(header["Idempotency-Key"], " ")
				return append([]byte(`{"more":1,`), body[1:]...)
			},
			Received: func(_ *gateway.Call, status int, header map[string][]string, body []byte) {
				mu.Lock()
				defer mu.Unlock()
				came, saw, got = status, strings.Join(header["X-Saw"], " "), string(body)
			},
		}})
		if _, err := callAndWait(t, set, call(target)); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		mu.Lock()
		if key != "o-1/wrap/do" || !strings.HasPrefix(saw, `{"more":1,"order_id":"o-1"`) || !strings.HasSuffix(saw, "}") || got != `{"done":{}}` || came != status {
			t.Errorf("%s: key %q, the service saw %q, status %d, answer %q", target, key, saw, came, got)
		}
		mu.Unlock()
	}
}
