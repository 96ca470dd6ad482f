package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/timeline"
)

// following is a command that runs until its order has ended.
type following struct {
	out, err screen
	code     chan int
}

// followed starts a command that goes on.
func followed(t *testing.T, environ []string, args ...string) *following {
	t.Helper()
	f := &following{code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.code <- execute(ctx, args, terminal{in: strings.NewReader(""), out: &f.out, err: &f.err, environ: environ})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// ends waits for the end of the command.
func (f *following) ends(t *testing.T, code int) string {
	t.Helper()
	select {
	case got := <-f.code:
		if got != code {
			t.Errorf("exit code %d, want %d\n%s%s", got, code, &f.out, &f.err)
		}
	case <-time.After(natstest.Patience):
		t.Fatalf("it goes on\n%s%s", &f.out, &f.err)
	}
	return f.out.String()
}

// waiting is a node with an order that is parked at its second step until a person sends the signal.
func waiting(t *testing.T) (*process, *demo.Services) {
	t.Helper()
	p := withPlan(t, impatient)
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	p.publish(t, sampleOrder("o-1"))
	p.until(t, "o-1", "parked")
	return p, s
}

// TestFollow: an order that rests is followed to its end, for people and for programs, on the command line and over HTTP.
func TestFollow(t *testing.T) {
	t.Parallel()
	p, s := waiting(t)
	text := followed(t, p.environ, "get", "o-1", "--follow")
	lines := followed(t, p.environ, "get", "o-1", "-f", "-o", "json")
	for what, f := range map[string]*following{"text": text, "JSON": lines} {
		eventually(t, "the park in "+what, func() (bool, any) { return strings.Contains(f.out.String(), "parked for"), f.out.String() })
	}
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	ok(t, p.environ, "signal", "o-1", "authorize_payment")

	got := text.ends(t, exitOK)
	for _, want := range []string{
		"status      parked since ", "waits for   signal \"authorize_payment\" for step authorize_payment\n",
		"you can     orderly signal o-1 authorize_payment '{…}'", "  accepted: ", "  parked for ", "resumed by signal\n", "order completed\n\norder o-1 is completed after ",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, got)
		}
	}
	v := p.get(t, "o-1")
	var kinds []string
	for line := range strings.Lines(lines.ends(t, exitOK)) {
		kinds = append(kinds, decode[timeline.Event](t, line).Kind)
	}
	if got := strings.Join(kinds, " "); got != v.kinds() {
		t.Errorf("followed %s\nwant     %s", got, v.kinds())
	}
	stream := p.request(t, http.MethodGet, "/v1/orders/o-1/events", "", "Accept", "text/event-stream")
	if strings.Count(stream.body, "event: ") != len(kinds) || strings.Count(stream.body, "id: ") != 7 {
		t.Errorf("the stream has not each event once:\n%s", stream.body)
	}

	if again := followed(t, p.environ, "get", "o-1", "--follow").ends(t, exitOK); !strings.HasSuffix(again, "order completed\n") {
		t.Errorf("an ended order is told as by get:\n%s", again)
	}
	complains(t, command(t, p.environ, "", "get", "o-9", "--follow"), exitFailed, "no order o-9: no order with this id was accepted")
	complains(t, command(t, p.environ, "", "get", "o-9", "--follow", "-o", "json"), exitFailed, "no order o-9: no order with this id was accepted")
}

// TestCancelDryRun: what is foretold, on the command line and over HTTP, is what is done then; and nothing is done by asking.
func TestCancelDryRun(t *testing.T) {
	t.Parallel()
	p, s := waiting(t)
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
	foretold := decode[timeline.Cancellation](t, ok(t, p.environ, "cancel", "o-1", "--dry-run", "-o", "json"))
	over := p.post(t, "/v1/orders/o-1/cancel?dry_run=true", "")
	if a, b := marshal(t, foretold), marshal(t, decode[timeline.Cancellation](t, over.body)); over.code != http.StatusOK || a != b {
		t.Errorf("HTTP foretells %d\n%s\nthe command line\n%s", over.code, b, a)
	}
	if after := p.get(t, "o-1").kinds(); after != before {
		t.Errorf("asking changed the order: %s, before %s", after, before)
	}
	if a := p.post(t, "/v1/orders/o-1/cancel?dry_run=perhaps", ""); a.code != http.StatusBadRequest || !strings.Contains(a.body, "want true or false") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := p.post(t, "/v1/orders/o-9/cancel?dry_run=true", ""); a.code != http.StatusNotFound {
		t.Errorf("%d %s", a.code, a.body)
	}
	complains(t, command(t, p.environ, "", "cancel", "o-9", "--dry-run"), exitFailed, "no order o-9")

	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	said := ok(t, p.environ, "cancel", "o-1", "--reason", "changed my mind", "--wait")
	if !strings.HasPrefix(said, "order o-1 is cancelled after ") || !strings.HasSuffix(said, ": changed my mind\nundone: authorize_payment, reserve_inventory\n") {
		t.Errorf("got\n%s", said)
	}
	var undone []string
	for _, c := range foretold.Undoes {
		undone = append(undone, c.Step)
	}
	done := decode[timeline.View](t, ok(t, p.environ, "get", "o-1", "-o", "json"))
	if got, want := strings.Join(done.Undone, " "), strings.Join(undone, " "); got != want {
		t.Errorf("undone %s, foretold %s", got, want)
	}
	if text := ok(t, p.environ, "get", "o-1"); !strings.Contains(text, "\nundone      authorize_payment, reserve_inventory\n") {
		t.Errorf("get does not tell what was undone:\n%s", text)
	}
	// It has ended: to cancel it again changes nothing, and is no failure.
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

// TestCancelWaitFails where the order is not undone: it completed, a person must decide first, or it takes too long.
func TestCancelWaitFails(t *testing.T) {
	t.Parallel()
	// Nobody undoes a reservation.
	p := withPlan(t, strings.ReplaceAll(impatient, "nats://inventory.release", "nats://nobody.home"))
	s := services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("done"), "--wait")
	if got := command(t, p.environ, "", "cancel", "done", "--wait"); got.code != exitFailed || !strings.HasPrefix(got.out, "order done is completed after ") || got.err != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}

	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, samples("stuck", "slow"))
	p.until(t, "stuck", "parked")
	p.until(t, "slow", "parked")
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

// TestVerifyCountsRestingOrders: the report counts parked orders by what they wait for and those in attention by cause, and
// names a parked one whose timer is lost.
func TestVerifyCountsRestingOrders(t *testing.T) {
	t.Parallel()
	p, s := waiting(t)
	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Fail: 1}}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, sampleOrder("o-2"))
	p.until(t, "o-2", "attention")
	text := strings.Join(strings.Fields(ok(t, p.environ, "verify")), " ")
	for _, want := range []string{
		" parked 1 pending 1 for a signal retry 0 ", " attention 1 a person must decide ", " scheduled 1 waking 0 ", " attention by cause 1 authorize_payment: ",
		" 2 accepted = 0 completed + 0 rejected + 0 cancelled + 0 in flight + 1 parked + 1 attention balanced",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	timers, err := p.jetStream(t).Stream(t.Context(), messages.StreamTimers)
	if err != nil {
		t.Fatal(err)
	}
	if err := timers.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := command(t, p.environ, "", "verify")
	if got.code != exitFailed || !strings.Contains(got.out, "NOT balanced: 1 violations\n  order o-1: parked until ") || !strings.Contains(got.out, "nothing will wake it in time") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}
