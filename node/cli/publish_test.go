package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/config"
)

// TestPublishFiles: one object, an array and JSON lines, valid and invalid. Invalid input is reported with file and
// line and not published; an invalid order is published and rejected; every valid one completes.
func TestPublishFiles(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	object := write(t, "object.json", strings.ReplaceAll(sampleOrder("object"), ",", ",\n  "))
	array := write(t, "array.json", "[\n"+sampleOrder("array-1")+",\n"+sampleOrder("array-2")+",\n"+`{"order_id":"array-3","qty":1}`+"\n]")
	lines := write(t, "orders.jsonl", strings.Join([]string{
		sampleOrder("line-1"),
		`{"order_id":"broken",`,
		sampleOrder("line-2"),
		"what is this?",
		orderWith("line-3", "", "sku-1"),
		sampleOrder("not/an/id"),
		orderWith("line-4", demo.CustomerDeclined, "sku-1"),
		`{"order_id":"` + strings.Repeat("x", 300<<10) + `"}`,
		`{"customer_id":"c-7"}`,
	}, "\n"))
	got := command(t, p.environ, sampleOrder("stdin"), "publish", object, array, lines, "-", "--wait")
	if got.code != exitFailed {
		t.Errorf("exit code %d: want 1, not all were published", got.code)
	}
	if !regexp.MustCompile(`^8 orders stored, 6 not published, 8 ended in [0-9.]+ s \([0-9]+ orders/s\)
  completed  6
  rejected   2
$`).MatchString(got.out) {
		t.Errorf("got\n%s", got.out)
	}
	for _, want := range []string{
		array + `:4: not published: body is not a JSON OrderCreated: (line 1:23): unknown field "qty"`,
		lines + `:2: not published: broken JSON: invalid character`,
		lines + `:4: not published: broken JSON: invalid character 'w' looking for beginning of value`,
		lines + `:6: not published: order id "not/an/id" has a character outside A–Z a–z 0–9 _ -`,
		lines + `:8: not published: body has 307215 bytes: at most 262144 are allowed`,
		lines + `:9: not published: order id is missing: want 1–64 characters of A–Z a–z 0–9 _ -`,
	} {
		if !strings.Contains(got.err, want) {
			t.Errorf("%s\nis missing in\n%s", want, got.err)
		}
	}
	for id, status := range map[string]string{
		"object": "completed", "array-1": "completed", "array-2": "completed", "line-1": "completed", "line-2": "completed",
		"line-3": "rejected", "line-4": "rejected", "stdin": "completed",
	} {
		if v := p.get(t, id); v.Status != status {
			t.Errorf("order %s is %s: want %s\n%s", id, v.Status, status, v.summaries())
		}
	}
	want := report{}
	want.Orders.Accepted, want.Orders.Completed, want.Orders.Rejected = 8, 6, 2
	want.Inbox.EverStored, want.Inbox.Accepted = 8, 8
	p.requireBalanced(t, want)
}

// TestPublishSamples: -n generates orders with new ids; the demo services refuse a tenth of them.
func TestPublishSamples(t *testing.T) {
	p := demoNode(t)
	s := decode[summary](t, ok(t, p.environ, "publish", "-n", "30", "--wait", "-o", "json"))
	if s.Stored != 30 || s.Failed != 0 || s.Open != 0 || s.Ended["completed"] != 27 || s.Ended["rejected"] != 3 {
		t.Errorf("got %+v", s)
	}
	hasKeys(t, decode[map[string]any](t, ok(t, p.environ, "publish", "-n", "1", "--wait", "-o", "json")),
		"duplicates", "ended", "failed", "open", "seconds", "stored")
	if out := ok(t, p.environ, "publish", "-n", "1"); !regexp.MustCompile(`^1 order stored in [0-9.]+ s\n$`).MatchString(out) {
		t.Errorf("got %q", out)
	}
}

// TestPublishRate: --rate limits the rate.
func TestPublishRate(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	if s := decode[summary](t, ok(t, p.environ, "publish", "-n", "11", "--rate", "20", "-o", "json")); s.Seconds < 0.45 {
		t.Errorf("11 orders at 20 per second took %.2f s", s.Seconds)
	}
}

// TestPublishHelpCounts: how many of the samples are rejected follows from the samples, the plan and the default rate.
func TestPublishHelpCounts(t *testing.T) {
	cfg, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	passes := 0.9 // one in ten is refused by its content
	for range plan.Builtin().GetSteps() {
		passes *= 1 - cfg.DemoRejectRate
	}
	want := fmt.Sprintf("each of the %s steps: with the default of %v, %.0f in 100 samples are rejected in all.",
		[]string{4: "four"}[len(plan.Builtin().GetSteps())], cfg.DemoRejectRate, 100*(1-passes))
	if text := ok(t, nil, "publish", "--help"); !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("%q is missing in\n%s", want, text)
	}
}

// TestPublishTwice: publishing again has no effect, and --wait counts orders that ended before.
func TestPublishTwice(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	p.publish(t, sampleOrder("o-1"), "--wait")
	got := p.publish(t, samples("o-1", "o-2"), "--wait")
	if got.code != exitOK || !strings.HasPrefix(got.out, "1 order stored, 1 duplicate, 2 ended in ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	got = p.publish(t, samples("o-1", "o-2"))
	if !regexp.MustCompile(`^0 orders stored, 2 duplicates in [0-9.]+ s \([0-9]+ orders/s\)\n$`).MatchString(got.out) {
		t.Errorf("got\n%s", got.out)
	}
	want := report{}
	want.Orders.Accepted, want.Orders.Completed = 2, 2
	want.Inbox.EverStored, want.Inbox.Accepted, want.Inbox.WithoutEffect = 5, 2, 3
	p.requireBalanced(t, want)
}

// TestPublishTimeout: orders that have not ended in time are counted, and one is named; exit code 1.
func TestPublishTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, nil) // no service performs the steps
	got := p.publish(t, samples("o-1", "o-1"), "--wait", "--timeout", "5s")
	if got.code != exitFailed {
		t.Errorf("exit code %d: want 1", got.code)
	}
	if !strings.Contains(got.err, "2 stored, 0 ended, 1 open\n") {
		t.Errorf("no progress in\n%s", got.err)
	}
	if !strings.Contains(got.err, `orderly: not ended within 5s: 1 order, for example o-1; see "orderly get o-1", or wait longer with --timeout`) {
		t.Errorf("got\n%s", got.err)
	}
	if !regexp.MustCompile(`^1 order stored, 1 duplicate, 0 ended in [0-9.]+ s\n  open       1\n$`).MatchString(got.out) {
		t.Errorf("got\n%s", got.out)
	}
	s := decode[summary](t, p.publish(t, sampleOrder("o-2"), "--wait", "--timeout", "1ms", "-o", "json").out)
	if s.Stored != 1 || s.Open != 1 || s.Ended == nil {
		t.Errorf("got %+v", s)
	}
}

// TestPublishNoFile: if a file cannot be read, nothing is published.
func TestPublishNoFile(t *testing.T) {
	p := start(t, nil)
	good := write(t, "good.json", sampleOrder("o-1"))
	requireFailure(t, command(t, p.environ, "", "publish", good, "missing.json"), exitFailed,
		"nothing published: open missing.json: no such file or directory")
	requireFailure(t, command(t, p.environ, "", "publish", good, t.TempDir()), exitFailed, "is a directory")
	if got := command(t, p.environ, "", "get", "o-1"); got.code != exitFailed {
		t.Errorf("something was published:\n%s", got.out)
	}
}

// TestPublishWhileNATSStops: an order is reported as stored only if it is.
func TestPublishWhileNATSStops(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	r, w := io.Pipe()
	var out, errs syncBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- execute(t.Context(), []string{"publish", "-"}, terminal{in: r, out: &out, err: &errs, environ: p.environ})
	}()
	fmt.Fprintln(w, sampleOrder("o-1"))
	eventually(t, "the first order", func() (bool, any) {
		got := command(t, p.environ, "", "get", "o-1")
		return got.code == exitOK, got.err
	})
	p.stop()
	p.wait(t)
	fmt.Fprintln(w, sampleOrder("o-2"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != exitFailed || !strings.Contains(out.String(), "1 order stored, 1 not published") || !strings.Contains(errs.String(), "publish order o-2: ") {
			t.Errorf("exit code %d\n%s%s", code, &out, &errs)
		}
	case <-time.After(natstest.Patience):
		t.Fatalf("publish does not end\n%s%s", &out, &errs)
	}
}

// TestPublishLimitsErrors: only the first errors of a file are printed.
func TestPublishLimitsErrors(t *testing.T) {
	p := start(t, nil)
	got := p.publish(t, strings.Repeat("\x1b[31mnot an order\n", 1000))
	if n := strings.Count(got.err, "\n"); got.code != exitFailed || n != maxReported+1 || strings.Contains(got.err, "\x1b") {
		t.Errorf("exit code %d, %d lines\n%s", got.code, n, got.err)
	}
	if !strings.Contains(got.out, "0 orders stored, 1000 not published") {
		t.Errorf("got %q", got.out)
	}
}
