package cli

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/timeline"
)

func TestGet(t *testing.T) {
	p := demoNode(t)
	requireFailure(t, command(t, p.environ, "", "get", "o-9"), exitFailed,
		`no order o-9: no order with this id was accepted; look for it with "orderly dead list --order o-9"`)
	p.publish(t, sampleOrder("o-1"), "--wait")
	text := ok(t, p.environ, "get", "o-1")
	if !regexp.MustCompile(strings.NewReplacer("TIME", `20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d\dZ`, "LATER", `\+[0-9.µms]+ +`, "LONG", `[0-9.µms]+`, "AGO", `(just now|[0-9.µms]+ ago)`).Replace(`^order       o-1
customer    c-7
total       19.00 EUR
status      completed \(after LONG, AGO\)
plan        order v1, 4 of 4 steps done
accepted    TIME \(AGO\)

  TIME +node-1  accepted: 1 item, 19.00 EUR, plan order v1
  TIME  LATERnode-1  reserve_inventory done in LONG
  TIME  LATERnode-1  authorize_payment done in LONG
  TIME  LATERnode-1  create_shipment done in LONG
  TIME  LATERnode-1  capture_payment done in LONG
  TIME  LATERnode-1  order completed
$`)).MatchString(text) {
		t.Errorf("got\n%s", text)
	}
	v := decode[map[string]any](t, ok(t, p.environ, "get", "o-1", "-o", "json"))
	hasKeys(t, v, "created_at", "currency", "customer_id", "events", "order_id", "plan", "status", "status_since", "steps", "steps_done", "total", "updated_at")
	hasKeys(t, v["events"].([]any)[0].(map[string]any), "detail", "kind", "node", "number", "sequence", "summary", "time")
}

// following is a running command.
type following struct {
	out, err syncBuffer
	code     chan int
}

// startFollowing starts a command and does not wait for its end.
func startFollowing(t *testing.T, environ []string, args ...string) *following {
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
		t.Fatalf("it did not end\n%s%s", &f.out, &f.err)
	}
	return f.out.String()
}

// TestFollow: a parked order is followed to its end, as text and JSON, on the command line and over HTTP.
func TestFollow(t *testing.T) {
	t.Parallel()
	p, s := startWithParkedOrder(t)
	text := startFollowing(t, p.environ, "get", "o-1", "--follow")
	lines := startFollowing(t, p.environ, "get", "o-1", "-f", "-o", "json")
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

	if again := startFollowing(t, p.environ, "get", "o-1", "--follow").ends(t, exitOK); !strings.HasSuffix(again, "order completed\n") {
		t.Errorf("an ended order is not printed as by get:\n%s", again)
	}
	requireFailure(t, command(t, p.environ, "", "get", "o-9", "--follow"), exitFailed, "no order o-9: no order with this id was accepted")
	requireFailure(t, command(t, p.environ, "", "get", "o-9", "--follow", "-o", "json"), exitFailed, "no order o-9: no order with this id was accepted")
}
