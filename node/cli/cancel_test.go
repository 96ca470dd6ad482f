package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// TestReceived: an order that waits in the inbox is known, though no node has taken it up.
func TestReceived(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := ingress.EnsureStreams(t.Context(), js, ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), messages.SubjectOrder+"o-1", []byte(sampleOrder("o-1"))); err != nil {
		t.Fatal(err)
	}
	environ := []string{"NATS_URL=" + server.URL()}
	if text := ok(t, environ, "get", "o-1"); text != "order       o-1\nstatus      received: stored in the inbox, no node has accepted it yet\n" {
		t.Errorf("got\n%s", text)
	}
	if text := ok(t, environ, "cancel", "o-1", "--dry-run"); !strings.HasPrefix(text, "order o-1 is received: no node has accepted it yet.") {
		t.Errorf("got\n%s", text)
	}
	v := decode[map[string]any](t, ok(t, environ, "get", "o-1", "-o", "json"))
	hasKeys(t, v, "actions", "created_at", "currency", "customer_id", "events", "order_id", "plan", "status", "status_since", "steps", "steps_done", "total", "updated_at")
}

// TestAwaited: a message about an order that does not exist makes no order of it, for whoever asks.
func TestAwaited(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "ORDERLY_UNKNOWN_AGE=1m")
	ok(t, p.environ, "retry", "o-9")
	for _, args := range []string{"get o-9", "get o-9 --follow", "get o-9 -o json", "cancel o-9 --dry-run", "cancel o-9 --wait"} {
		complains(t, command(t, p.environ, "", strings.Fields(args)...), exitFailed,
			"no order o-9 yet: 1 message about it waits, and becomes a dead letter unless it comes within ORDERLY_UNKNOWN_AGE")
	}
	for path, method := range map[string]string{
		"/v1/orders/o-9": http.MethodGet, "/v1/orders/o-9/events": http.MethodGet,
		"/v1/orders/o-9/cancel?dry_run=true": http.MethodPost, "/v1/orders/o-9/skip": http.MethodPost,
	} {
		a := p.request(t, method, path, "")
		if a.code != http.StatusNotFound || !strings.Contains(a.body, "no order o-9 yet: 1 message about it waits, and becomes a dead letter unless") {
			t.Errorf("%s %s: %d: %s", method, path, a.code, a.body)
		}
	}
}
