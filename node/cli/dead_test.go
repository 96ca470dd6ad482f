package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

// waitDeadLetters waits until n dead letters are listed.
func (p *process) waitDeadLetters(t *testing.T, n int, args ...string) []deadLetter {
	t.Helper()
	var found []deadLetter
	eventually(t, fmt.Sprintf("%d dead letters", n), func() (bool, any) {
		out := ok(t, p.environ, append([]string{"dead", "list", "-o", "json"}, args...)...)
		found = decode[[]deadLetter](t, out)
		return len(found) == n, out
	})
	return found
}

// TestDead: list, show and filter dead letters; control characters in untrusted text do not reach the terminal.
func TestDead(t *testing.T) {
	p := demoNode(t)
	if out := ok(t, p.environ, "dead", "list"); out != "no dead letters\n" {
		t.Errorf("got %q", out)
	}
	js := p.jetStream(t)
	for i, m := range []*nats.Msg{
		{Subject: "ORDER.o-1", Header: nats.Header{"X-Shop": {"7"}, "Orderly-Type": {"order.made"}}, Data: []byte("{\n  \"why\": \"\x1b[31m\"\n}")},
		{Subject: "ORDER.o-2", Data: []byte("\x00\xff\xfe")},
		{Subject: "ORDER.o-2", Data: []byte(strings.Repeat("a", 10_000))},
	} {
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		p.waitDeadLetters(t, i+1)
	}

	text := ok(t, p.environ, "dead", "list")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || strings.Join(strings.Fields(lines[0]), " ") != "SEQ TIME SUBJECT REASON" ||
		!strings.HasPrefix(lines[1], "1  ") || !strings.Contains(lines[1], `  ORDER.o-1  header Orderly-Type is "order.made": want order.created, `) {
		t.Errorf("got\n%s", text)
	}
	if text := ok(t, p.environ, "dead", "list", "--limit", "2"); !strings.HasSuffix(text, "the first 2; see more with --limit\n") {
		t.Errorf("got\n%s", text)
	}
	for args, want := range map[string]int{"--order o-2": 2, "--order o-2 --reason PROTOBUF": 2, "--reason order.made": 1, "--order o-9": 0} {
		p.waitDeadLetters(t, want, strings.Fields(args)...)
	}

	text = ok(t, p.environ, "dead", "show", "1")
	for _, want := range []string{
		"sequence  1\n", "reason    header Orderly-Type", "subject   ORDER.o-1\n", "source    message 1 of stream ORDERS\n",
		"header    Orderly-Type: order.made\nheader    X-Shop: 7\n", "body      20 bytes\n\n{\n  \"why\": \" [31m\"\n}\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if text := ok(t, p.environ, "dead", "show", "2"); !strings.Contains(text, "00000000  00 ff fe ") {
		t.Errorf("got\n%s", text)
	}
	if text := ok(t, p.environ, "dead", "show", "3"); !strings.HasSuffix(text, "a\n… and 5904 bytes more; -o json shows all\n") {
		t.Errorf("got\n%s", text)
	}
	requireFailure(t, command(t, p.environ, "", "dead", "show", "9"), exitFailed, "get dead letter 9: no such dead letter")
}

// TestDeadListIsATable: a long reason is truncated, as in the list of orders, and dead letters of several pages are in
// order.
func TestDeadListIsATable(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	js := p.jetStream(t)
	const many = deadLetterPage + 7
	for i := range many {
		m := &nats.Msg{Subject: fmt.Sprintf("%so-%d", messages.SubjectDead, i), Header: nats.Header{
			messages.HeaderDeadReason: {strings.Repeat("r", 1000)}, messages.HeaderDeadSubject: {fmt.Sprintf("ORDER.o-%d", i)},
			messages.HeaderDeadStream: {messages.StreamOrders}, messages.HeaderDeadSequence: {"7"},
		}}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(ok(t, p.environ, "dead", "list", "--limit", "0"), "\n"), "\n")
	if len(lines) != many+1 {
		t.Fatalf("%d lines: want a head and %d dead letters", len(lines), many)
	}
	for i, line := range lines[1:] {
		if fields := strings.Fields(line); len(fields) != 4 || fields[0] != fmt.Sprint(i+1) || fields[2] != fmt.Sprintf("ORDER.o-%d", i) ||
			fields[3] != strings.Repeat("r", maxCell)+"…" {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if found := p.waitDeadLetters(t, many, "--limit", "0"); found[many-1].Sequence != many || len(found[0].Reason) != 1000 {
		t.Errorf("the last is %+v", found[many-1])
	}
}

// TestDeadJSON checks the keys of the stable JSON form.
func TestDeadJSON(t *testing.T) {
	p := demoNode(t)
	js := p.jetStream(t)
	for i, body := range []string{"hello", "\xff"} {
		m := &nats.Msg{Subject: "ORDER.o-1", Header: header("X-Shop", "7"), Data: []byte(body)}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		p.waitDeadLetters(t, i+1)
	}
	for _, l := range decode[[]map[string]any](t, ok(t, p.environ, "dead", "list", "-o", "json")) {
		hasKeys(t, l, "order_id", "reason", "sequence", "source_sequence", "stream", "subject", "time")
	}
	show := func(seq string) map[string]any {
		return decode[map[string]any](t, ok(t, p.environ, "dead", "show", seq, "-o", "json"))
	}
	text, bytes := show("1"), show("2")
	hasKeys(t, text, "body", "headers", "order_id", "reason", "sequence", "source_sequence", "stream", "subject", "time")
	hasKeys(t, bytes, "body_base64", "headers", "order_id", "reason", "sequence", "source_sequence", "stream", "subject", "time")
	if text["body"] != "hello" || bytes["body_base64"] != "/w==" || fmt.Sprint(text["headers"]) != "map[X-Shop:[7]]" {
		t.Errorf("got %v\n%v", text, bytes)
	}
	if out := ok(t, p.environ, "dead", "list", "--order", "o-2", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("got %q: want an empty list", out)
	}
}

// TestForeignDeadLetter: messages that a client published to the dead-letter stream are listed as such, between the others,
// and are not sent back.
func TestForeignDeadLetter(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	js := p.jetStream(t)
	publishInvalid := func(n int) {
		t.Helper()
		if _, err := js.Publish(t.Context(), "ORDER.o-1", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		p.waitDeadLetters(t, n)
	}
	publishInvalid(1)
	for _, m := range []*nats.Msg{
		{Subject: messages.SubjectDead + "o-1", Data: []byte("by hand")},
		{Subject: messages.SubjectDead + "ö", Header: header(messages.HeaderDeadReason, "not a protobuf, I say"), Data: []byte("by hand")},
	} {
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	publishInvalid(4)

	const missing = "no node stored this: header Orderly-Dead-Reason is missing, "
	lines := strings.Split(ok(t, p.environ, "dead", "list"), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[2], "2  ") || !strings.Contains(lines[2], "  ORDER_DEAD.o-1  "+missing) ||
		!strings.Contains(lines[3], "  ORDER_DEAD.ö    no node stored this: ") || !strings.Contains(lines[4], "  ORDER.o-1 ") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
	for i, l := range p.waitDeadLetters(t, 4) {
		if foreign := i == 1 || i == 2; l.Foreign != foreign || l.Stream == messages.StreamDead != foreign {
			t.Errorf("got %+v", l)
		}
	}
	text := ok(t, p.environ, "dead", "show", "2")
	for _, want := range []string{"reason    " + missing, "subject   ORDER_DEAD.o-1\n", "source    message 2 of stream ORDER_DEAD\n", "body      7 bytes\n\nby hand\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}

	verified := ok(t, p.environ, "verify")
	if !strings.Contains(verified, "warnings\n  message 2 of ORDER_DEAD is not a node's dead letter (header Orderly-Dead-Reason is missing, ") || !strings.HasSuffix(verified, "\nbalanced\n") {
		t.Errorf("got\n%s", verified)
	}

	got := command(t, p.environ, "", "dead", "redrive", "2")
	if got.code != exitFailed || got.out != "" || !strings.Contains(got.err, "redrive dead letter 2: "+missing) {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	const over = `1 skipped, which no node stored; see them with "orderly dead list"` + "\n"
	if out := ok(t, p.environ, "dead", "redrive", "--all", "--reason", "not a protobuf", "--timeout", "0"); out != over+"1 sent back as message 3\n4 sent back as message 4\n2 of 2 sent back\n" {
		t.Errorf("got\n%s", out)
	}
	p.waitDeadLetters(t, 2, "--reason", "no node stored this")
	p.waitDeadLetters(t, 2, "--reason", "OrderCreated")
	if out := ok(t, p.environ, "dead", "redrive", "--all", "--reason", "header Orderly-Dead-Reason"); out != over+"0 of 0 sent back\n" {
		t.Errorf("got\n%s", out)
	}
}

// TestRedriveAfterOrderCreated: a cancel whose order was created too late is a dead letter; sent back after the order was
// created, it cancels the order.
func TestRedriveAfterOrderCreated(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	ok(t, p.environ, "cancel", "o-1", "--reason", "too early")
	l := p.waitDeadLetters(t, 1)[0]
	if l.OrderID != "o-1" || !strings.HasPrefix(l.Reason, "no such order: none was created within 1s of this order.cancel") {
		t.Errorf("got %+v", l)
	}
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "parked")
	if out := ok(t, p.environ, "dead", "redrive", "1"); out != "1 sent back as message 3\n1 of 1 sent back\n  1 took effect\n" {
		t.Errorf("got %q", out)
	}
	v := p.waitStatus(t, "o-1", "cancelled")
	if v.Reason != "too early" {
		t.Errorf("reason %q: want that of the cancel", v.Reason)
	}
	p.waitDeadLetters(t, 0)
	requireFailure(t, command(t, p.environ, "", "dead", "redrive", "1"), exitFailed, "get dead letter 1: no such dead letter")
	// The ledger still has the dead letter that was sent back and deleted.
	want := report{}
	want.Orders.Accepted, want.Orders.Cancelled = 1, 1
	want.Inbox.EverStored, want.Inbox.Accepted, want.Inbox.Recorded, want.Inbox.DeadLettered = 3, 1, 1, 1
	want.Dead.Removed = 1
	p.requireBalanced(t, want)
}

// TestRedriveAll sends back the dead letters that match the filters; invalid messages become dead letters again.
func TestRedriveAll(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	js := p.jetStream(t)
	for i, body := range []string{"hello", "{}x", "hello"} {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: fmt.Sprintf("ORDER.o-%d", i), Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		p.waitDeadLetters(t, i+1)
	}
	if out := ok(t, p.environ, "dead", "redrive", "--all", "--reason", "is not a protobuf", "--timeout", "0"); out != "1 sent back as message 4\n3 sent back as message 5\n2 of 2 sent back\n" {
		t.Errorf("got %q", out)
	}
	p.waitDeadLetters(t, 3)
	if out := ok(t, p.environ, "dead", "redrive", "--all", "--order", "o-9"); out != "0 of 0 sent back\n" {
		t.Errorf("got %q", out)
	}
	got := command(t, p.environ, "", "dead", "redrive", "2", "77", "--timeout", "0")
	if got.code != exitFailed || got.out != "2 sent back as message 6\n1 of 2 sent back\n" || !strings.Contains(got.err, "77") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}

// TestDeadLetterKeepsItsBody: the body of a dead letter is that of the message.
func TestDeadLetterKeepsItsBody(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	body, err := json.Marshal(strings.Repeat("ü", 200_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.jetStream(t).Publish(t.Context(), "ORDER.o-1", body); err != nil {
		t.Fatal(err)
	}
	p.waitDeadLetters(t, 1)
	if l := decode[deadLetter](t, ok(t, p.environ, "dead", "show", "1", "-o", "json")); l.Body != string(body) {
		t.Errorf("the message has %d bytes, the dead letter %d", len(body), len(l.Body))
	}
}

// TestDiscard deletes dead letters by sequence, and all that a filter selects only with --yes. verify still accounts for them.
func TestDiscard(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	for _, body := range []string{"a", "b", "c", "{"} {
		if _, err := p.jetStream(t).Publish(t.Context(), "ORDER.o-1", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	p.waitDeadLetters(t, 4)
	got := command(t, p.environ, "", "dead", "discard", "1", "77")
	if got.code != exitFailed || got.out != "1 of 2 deleted\n" || got.err != "orderly: get dead letter 77: no such dead letter\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	all := []string{"dead", "discard", "--all", "--reason", "not a protobuf"}
	if out := ok(t, p.environ, all...); out != "2 dead letters to delete\nnothing is deleted; add --yes to delete them\n" {
		t.Errorf("got %q", out)
	}
	p.waitDeadLetters(t, 3)
	if out := ok(t, p.environ, append(all, "--yes")...); out != "2 of 2 deleted\n" {
		t.Errorf("got %q", out)
	}
	if left := p.waitDeadLetters(t, 1); left[0].Sequence != 4 {
		t.Errorf("got %+v", left)
	}
	requireFailure(t, command(t, p.environ, "", "dead", "discard"), exitUsage, "name the sequences of dead letters, or --all")
	if out := ok(t, p.environ, "verify"); !strings.HasSuffix(out, "\nbalanced\n") {
		t.Errorf("got\n%s", out)
	}
}

// TestRedriveWaits: redrive says how many messages took effect, had none, became dead letters again, or wait for a node.
func TestRedriveWaits(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{})
	js := p.jetStream(t)
	p.publish(t, orderWith("o-1", "c-7", "sku-1"), "--wait")
	// A retry for an order that has ended has no effect; the body is no message; the order is new.
	for i, m := range []*nats.Msg{
		{Subject: "ORDER.o-1", Header: nats.Header{messages.HeaderType: {"order.retry"}}},
		{Subject: "ORDER.o-2", Data: []byte("not a message")},
		{Subject: "ORDER.o-3", Data: []byte(orderWith("o-3", "c-7", "sku-1"))},
	} {
		dead := nats.NewMsg(messages.SubjectDead + strings.TrimPrefix(m.Subject, messages.SubjectOrder))
		dead.Data = m.Data
		for name, value := range map[string]string{
			messages.HeaderDeadReason: "too early", messages.HeaderDeadSubject: m.Subject, messages.HeaderDeadStream: messages.StreamOrders,
			messages.HeaderDeadSequence: "1", nats.MsgIdHdr: fmt.Sprintf("%s:1:%d", messages.StreamOrders, i),
		} {
			dead.Header[name] = []string{value}
		}
		for name, values := range m.Header {
			dead.Header["Orderly-Dead-Header-"+name] = values
		}
		if _, err := js.PublishMsg(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
	}
	got := command(t, p.environ, "", "dead", "redrive", "--all", "--timeout", "1m")
	want := `1 sent back as message 2
2 sent back as message 3
3 sent back as message 4
3 of 3 sent back
message 3 is dead letter 4 again: body is not a protobuf OrderCreated: cannot parse invalid wire-format data
  1 took effect
  1 without effect
  1 dead again
`
	if got.code != exitFailed || got.out != want {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", got.code, got.out, got.err, want)
	}
}
