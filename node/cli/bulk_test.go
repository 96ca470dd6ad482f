package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// storedInInbox counts the messages that were ever stored in the inbox.
func (p *process) storedInInbox(t *testing.T) uint64 {
	t.Helper()
	s, err := p.jetStream(t).Stream(t.Context(), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// TestRetryAll: without --yes orders are counted by cause and nothing is sent; with it each gets a retry.
func TestRetryAll(t *testing.T) {
	t.Parallel()
	p, ids := startWithAttentionOrders(t, 25)
	before := p.storedInInbox(t)
	text := ok(t, p.environ, "retry", "--all", "--reason", "CARD network")
	if want := "25 orders to retry\n    25  " + attentionCause + "\nnothing is sent; add --yes to retry them\n"; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if text := ok(t, p.environ, "retry", "--all", "--reason", "another cause", "--yes"); text != "0 orders to retry\n" {
		t.Errorf("got\n%s", text)
	}
	if text := ok(t, p.environ, "cancel", "--all", "--dry-run"); !strings.HasSuffix(text, "nothing is sent; add --yes to cancel them\n") {
		t.Errorf("got\n%s", text)
	}
	if n := p.storedInInbox(t); n != before {
		t.Fatalf("%d messages were sent", n-before)
	}

	// One first, then the others.
	if text := ok(t, p.environ, "retry", "--all", "--limit", "1", "--yes"); !strings.HasSuffix(text, "\n1 of 1 sent\n") {
		t.Errorf("got\n%s", text)
	}
	p.waitListed(t, 24, "--status", "attention", "--limit", "0")
	if text := ok(t, p.environ, "retry", "--all", "--reason", "card network", "--rate", "0", "--yes"); !strings.HasSuffix(text, "\n24 of 24 sent\n") {
		t.Errorf("got\n%s", text)
	}
	for _, id := range ids {
		p.waitStatus(t, id, "completed")
	}
	p.waitListed(t, 0, "--status", "attention")
}

// TestSkipAll skips the failed step of every order.
func TestSkipAll(t *testing.T) {
	t.Parallel()
	p, ids := startWithAttentionOrders(t, 3)
	said := subscribeSkips(t, p)
	if text := ok(t, p.environ, "skip", "--all", "--yes"); !strings.HasSuffix(text, "\n3 of 3 sent\n") {
		t.Errorf("got\n%s", text)
	}
	for _, id := range ids {
		if got := said(); got != "do authorize_payment" {
			t.Errorf("the skip names %q, want the call that needed attention", got)
		}
		if v := p.waitStatus(t, id, "completed"); !strings.Contains(v.summaries(), "authorize_payment skipped on request") {
			t.Errorf("got\n%s", v.summaries())
		}
	}
}

// TestSkipAllOfUndos: each skip names the undo that failed, not the step.
func TestSkipAllOfUndos(t *testing.T) {
	t.Parallel()
	p := withPlan(t, strings.ReplaceAll(threeAttemptsPlan, "nats://inventory.release", "nats://nobody.home"))
	services(t, p, demo.Behaviors{})
	p.publish(t, orderWith("o-1", demo.CustomerDeclined, "sku-1"))
	p.waitListed(t, 1, "--status", "attention")
	said := subscribeSkips(t, p)
	if text := ok(t, p.environ, "skip", "--all", "--yes"); !strings.HasSuffix(text, "\n1 of 1 sent\n") {
		t.Errorf("got\n%s", text)
	}
	if got := said(); got != "undo reserve_inventory" {
		t.Errorf("the skip names %q, want the call that needed attention", got)
	}
	if v := p.waitStatus(t, "o-1", "rejected"); !strings.Contains(v.summaries(), "undo of reserve_inventory skipped on request") {
		t.Errorf("got\n%s", v.summaries())
	}
}

// TestSkipAllOmitsChangedOrders: an order whose attention has changed since it was listed, or has ended, is not
// skipped.
func TestSkipAllOmitsChangedOrders(t *testing.T) {
	t.Parallel()
	p, _ := startWithAttentionOrders(t, 2)
	listed := p.waitListed(t, 2, "--status", "attention")
	ok(t, p.environ, "cancel", listed[1].OrderID)
	ended := p.waitListed(t, 1, "--status", "cancelled")[0]
	before := p.storedInInbox(t)
	var out, errs syncBuffer
	b := &bulk{t: terminal{out: &out, err: &errs}, name: "skip", resolves: true}
	b.message = func(to target) proto.Message { return &messages.SkipStep{Step: to.step, Direction: to.direction} }
	if err := b.send(t.Context(), p.connection(t), []target{
		{id: messages.OrderID(listed[0].OrderID), since: listed[0].StatusSince.Add(-time.Second)}, // an earlier attention
		{id: messages.OrderID(listed[1].OrderID), since: listed[1].StatusSince},
		{id: messages.OrderID(ended.OrderID), since: ended.StatusSince}, // another status at the same time
		{id: "o-9"}, // removed since
	}); err != nil {
		t.Error(err)
	}
	if want := "0 of 4 sent, 4 had changed since they were listed\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if n := p.storedInInbox(t); n != before {
		t.Errorf("%d messages were sent", n-before)
	}
}

// TestHelpOfAll: the help says which orders a command applies to, and its effect on a parked one.
func TestHelpOfAll(t *testing.T) {
	for verb, want := range map[string][]string{
		"cancel": {"to every order in attention, or with --status parked to every one parked, whose reason contains --reason."},
		"retry": {"to every order in attention, or with --status parked to every one parked, whose reason contains --reason.",
			"A parked order stops waiting: its step is called now. "},
		"skip": {"to every order in attention whose reason contains --reason.",
			"A parked order stops waiting: its step is called now, and nothing is skipped."},
	} {
		text := ok(t, nil, verb, "--help")
		for _, sentence := range want {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), sentence) {
				t.Errorf("%s --help does not say %q:\n%s", verb, sentence, text)
			}
		}
		if parked := strings.Contains(text, "--status parked"); parked == (verb == "skip") {
			t.Errorf("%s --help speaks of --status parked: %t\n%s", verb, parked, text)
		}
	}
}

// TestSentTwice: while an order has not changed, a repeated message to it is stored once, so that a client can repeat
// the command.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t).ClientURL()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := ingress.EnsureStreams(t.Context(), natstest.JetStream(t, nc), ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
	c := &connection{nc: nc, js: natstest.JetStream(t, nc)}
	var out, errs syncBuffer
	b := &bulk{t: terminal{out: &out, err: &errs}, name: "retry", message: func(target) proto.Message { return &messages.RetryOrder{} }}
	targets := []target{{id: "o-1", sequence: 7}, {id: "o-2", sequence: 8}}
	for range 2 { // no node runs
		if err := b.send(t.Context(), c, targets); err != nil {
			t.Fatal(err)
		}
	}
	targets[0].sequence = 20 // the order has changed, and needs attention again
	if err := b.send(t.Context(), c, targets); err != nil {
		t.Fatal(err)
	}
	if want := "2 of 2 sent\n0 of 2 sent, 2 had been sent before\n1 of 2 sent, 1 had been sent before\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	// Without a stream nothing is sent, and that is reported.
	if err := natstest.JetStream(t, nc).DeleteStream(t.Context(), messages.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if err := b.send(t.Context(), c, targets); err == nil || !strings.Contains(err.Error(), "o-2") || !strings.HasSuffix(out.String(), "0 of 2 sent, 2 not\n") {
		t.Errorf("error %v, got\n%s", err, out.String())
	}
}
