package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// TestVerify: the report in both forms, and exit code 1 with the order named when it does not balance.
func TestVerify(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	p.publish(t, samples("o-1", "o-2"), "--wait")
	want := report{}
	want.Orders.Accepted, want.Orders.Completed = 2, 2
	want.Inbox.EverStored, want.Inbox.Accepted = 2, 2
	p.requireBalanced(t, want)
	text := ok(t, p.environ, "verify")
	for _, line := range []string{"orders accepted              2\n", "  completed                  2\n", "\nbalanced\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	hasKeys(t, decode[map[string]any](t, ok(t, p.environ, "verify", "-o", "json")),
		"attention_causes", "balanced", "dead_letters", "foreign", "inbox", "journal", "offending", "offenses", "orders", "taken", "timers", "warned", "warnings")

	last, err := stream(t, p, messages.StreamEvents).GetLastMsgForSubject(t.Context(), messages.SubjectEvent+"o-2")
	if err != nil {
		t.Fatal(err)
	}
	// A foreign message is a warning.
	m := &nats.Msg{Subject: messages.SubjectEvent + "o-2", Header: header(messages.HeaderEvent, "completed"), Data: []byte("x")}
	ack, err := p.jetStream(t).PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	text = ok(t, p.environ, "verify")
	if want := fmt.Sprintf("ORDER_EVENTS stores 1 messages that no node stored (sequences %d)", ack.Sequence); !strings.Contains(text, want) {
		t.Errorf("%q is missing in\n%s", want, text)
	}

	// An entry continues an order after its end.
	entry, err := proto.Marshal(&messages.JournalEntry{OrderId: "o-2", Number: 6, Previous: last.Sequence})
	if err != nil {
		t.Fatal(err)
	}
	m.Header.Set(messages.HeaderExpected, fmt.Sprint(ack.Sequence))
	m.Data = entry
	if _, err := p.jetStream(t).PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := command(t, p.environ, "", "verify")
	if got.code != exitFailed || !strings.Contains(got.out, "NOT balanced: 1 violations") || !strings.Contains(got.out, "order o-2: ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if got := command(t, p.environ, "", "verify", "-o", "json"); got.code != exitFailed || decode[report](t, got.out).Balanced {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}

// TestVerifyNamesLostMessages: ten acknowledged orders are purged from the inbox while no node runs. A later start does not
// hide that.
func TestVerifyNamesLostMessages(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	environ := "NATS_URL=" + server.ClientURL()
	p := demoNode(t, environ)
	p.publish(t, samples("o-1", "o-2"), "--wait")
	p.stop()
	p.wait(t)
	var lost []string
	for i := range 10 {
		lost = append(lost, fmt.Sprint("o-", 3+i))
	}
	if got := p.publish(t, samples(lost...)); got.code != exitOK {
		t.Fatalf("%s%s", got.out, got.err)
	}
	if err := stream(t, p, messages.StreamOrders).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = demoNode(t, environ)
	p.publish(t, samples("o-13"), "--wait")
	got := command(t, p.environ, "", "verify")
	if got.code != exitFailed || !strings.Contains(got.out, "messages 3 to 12 of ORDERS are lost: ") || !strings.Contains(got.out, "NOT balanced: 1 violations") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	type counts struct {
		Inbox struct{ Lost, Accepted int } `json:"inbox"`
	}
	if r := decode[counts](t, command(t, p.environ, "", "verify", "-o", "json").out); r.Inbox.Lost != 10 || r.Inbox.Accepted != 3 {
		t.Errorf("%+v", r)
	}

	// Only what is lost can be written off, and verify then balances.
	requireFailure(t, command(t, p.environ, "", "write-off", "3-13", "--yes"), exitFailed, "message 13 of ORDERS is not lost")
	requireFailure(t, command(t, p.environ, "", "write-off", "12-3"), exitUsage, `"12-3" is no sequence and no run of sequences`)
	if out := ok(t, p.environ, "write-off", "3-11"); out != "9 lost messages to write off\nnothing is recorded; add --yes to write them off\n" {
		t.Errorf("got %q", out)
	}
	if out := ok(t, p.environ, "write-off", "3-11", "--yes"); out != "9 lost messages written off\n" {
		t.Errorf("got %q", out)
	}
	if got := command(t, p.environ, "", "verify"); got.code != exitFailed || !strings.Contains(got.out, "message 12 of ORDERS is lost: ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	ok(t, p.environ, "write-off", "12", "--yes")
	if out := ok(t, p.environ, "verify"); !strings.Contains(strings.Join(strings.Fields(out), " "), " written off 10 ") || !strings.HasSuffix(out, "\nbalanced\n") {
		t.Errorf("got\n%s", out)
	}
}

// TestVerifyCountsWaitingOrders: the report counts parked orders by what they wait for and those in attention by cause, and
// names a parked one whose timer is lost.
func TestVerifyCountsWaitingOrders(t *testing.T) {
	t.Parallel()
	p, s := startWithParkedOrder(t)
	if err := s.Set(demo.Behaviors{Payments: demo.Behavior{Fail: 1}}); err != nil {
		t.Fatal(err)
	}
	p.publish(t, sampleOrder("o-2"))
	p.waitStatus(t, "o-2", "attention")
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
