package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/embedded"
	"github.com/orderly-engine/orderly/node/timeline"
)

// TestReceived: an order in the inbox has a status before a node accepts it.
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

// TestPendingMessages: a message about an order that does not exist is reported by every command and endpoint.
func TestPendingMessages(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "ORDERLY_UNKNOWN_AGE=1m")
	ok(t, p.environ, "retry", "o-9")
	for _, args := range []string{"get o-9", "get o-9 --follow", "get o-9 -o json", "cancel o-9 --dry-run", "cancel o-9 --wait"} {
		requireFailure(t, command(t, p.environ, "", strings.Fields(args)...), exitFailed,
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

// startWithParkedOrder starts a node with an order that is parked at its second step until a signal arrives.
func startWithParkedOrder(t *testing.T) (*process, *demo.Services) {
	t.Helper()
	p := withPlan(t, threeAttemptsPlan)
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "parked")
	return p, s
}

// TestCancelDryRun: a preview, on the command line and over HTTP, predicts the effect of the cancel, and changes nothing.
func TestCancelDryRun(t *testing.T) {
	t.Parallel()
	p, s := startWithParkedOrder(t)
	before := p.get(t, "o-1").kinds()
	text := ok(t, p.environ, "cancel", "o-1", "--dry-run")
	want := `order o-1 is parked: a cancel now would end it as cancelled:
  1. settle  authorize_payment  nats://payments.authorize  (pending: it is called again, with the same idempotency key)
  2. undo    authorize_payment  nats://payments.void  (unless it turns out to be refused)
  3. undo    reserve_inventory  nats://inventory.release
`
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	preview := decode[timeline.Cancellation](t, ok(t, p.environ, "cancel", "o-1", "--dry-run", "-o", "json"))
	over := p.post(t, "/v1/orders/o-1/cancel?dry_run=true", "")
	if a, b := marshal(t, preview), marshal(t, decode[timeline.Cancellation](t, over.body)); over.code != http.StatusOK || a != b {
		t.Errorf("HTTP previews %d\n%s\nthe command line\n%s", over.code, b, a)
	}
	if after := p.get(t, "o-1").kinds(); after != before {
		t.Errorf("the preview changed the order: %s, before %s", after, before)
	}
	if a := p.post(t, "/v1/orders/o-1/cancel?dry_run=perhaps", ""); a.code != http.StatusBadRequest || !strings.Contains(a.body, "want true or false") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.post(t, "/v1/orders/o-9/cancel?dry_run=true", ""); a.code != http.StatusNotFound {
		t.Errorf("%d %s", a.code, a.body)
	}
	requireFailure(t, command(t, p.environ, "", "cancel", "o-9", "--dry-run"), exitFailed, "no order o-9")

	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	said := ok(t, p.environ, "cancel", "o-1", "--reason", "changed my mind", "--wait")
	if !strings.HasPrefix(said, "order o-1 is cancelled after ") || !strings.HasSuffix(said, ": changed my mind\nundone: authorize_payment, reserve_inventory\n") {
		t.Errorf("got\n%s", said)
	}
	var undone []string
	for _, c := range preview.Undoes {
		undone = append(undone, c.Step)
	}
	done := decode[timeline.View](t, ok(t, p.environ, "get", "o-1", "-o", "json"))
	if got, want := strings.Join(done.Undone, " "), strings.Join(undone, " "); got != want {
		t.Errorf("undone %s, preview %s", got, want)
	}
	if text := ok(t, p.environ, "get", "o-1"); !strings.Contains(text, "\nundone      authorize_payment, reserve_inventory\n") {
		t.Errorf("get does not show what was undone:\n%s", text)
	}
	// A cancel of an ended order changes nothing and succeeds.
	if text := ok(t, p.environ, "cancel", "o-1", "--dry-run"); text != "order o-1 is cancelled: it has ended, and a cancel would change nothing\n" {
		t.Errorf("got %s", text)
	}
	if v := decode[timeline.View](t, ok(t, p.environ, "cancel", "o-1", "--wait", "-o", "json")); v.Status != "cancelled" {
		t.Errorf("%+v", v)
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCancelWaitFails: --wait fails if the order completed, needs attention first, or takes too long.
func TestCancelWaitFails(t *testing.T) {
	t.Parallel()
	// No service undoes a reservation.
	p := withPlan(t, strings.ReplaceAll(threeAttemptsPlan, "nats://inventory.release", "nats://nobody.home"))
	s := services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("done"), "--wait")
	if got := command(t, p.environ, "", "cancel", "done", "--wait"); got.code != exitFailed || !strings.HasPrefix(got.out, "order done is completed after ") || got.err != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}

	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, samples("stuck", "slow"))
	p.waitStatus(t, "stuck", "parked")
	p.waitStatus(t, "slow", "parked")
	got := command(t, p.environ, "", "cancel", "stuck", "--wait")
	if got.code != exitFailed || !strings.HasPrefix(got.out, "order stuck is in attention, a person must decide: ") ||
		!strings.HasSuffix(got.out, "see \"orderly get stuck\"\nundone: authorize_payment\n") || got.err != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if text := ok(t, p.environ, "get", "stuck"); !strings.Contains(text, "): a person must decide about the undo of reserve_inventory\n") ||
		!strings.Contains(text, "orderly skip stuck   continues as if the undo of reserve_inventory were done") {
		t.Errorf("got\n%s", text)
	}

	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Latency: 40 * time.Second}}); err != nil {
		t.Fatal(err)
	}
	got = command(t, p.environ, "", "cancel", "slow", "--wait", "--timeout", "8s")
	if got.code != exitFailed || !strings.HasPrefix(got.out, "order slow is compensating; the cancel is recorded and in progress; see ") || got.err != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}
