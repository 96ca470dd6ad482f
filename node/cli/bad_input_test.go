package cli

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// The results of an input.
const (
	completed = "order completed"
	rejected  = "order rejected"
	dead      = "dead letter"
	nothing   = "acknowledged, no effect"
	refused   = "publish refused"
	dropped   = "not stored, acknowledged as a `duplicate`"
)

// input is one row of the table in docs/bad-input.md: an input, how a plain NATS client sends it, and its exact outcome.
type input struct {
	// the input, as described in the table.
	what string
	// end is its outcome; says is contained in the reason of the order or the dead letter.
	end, says string

	// id of the order, "" for an unused one; subject is that of the id.
	id, subject string
	// first is a body that is published, and whose order ends, before. If the header has a Nats-Msg-Id, it has it too.
	first  []byte
	header nats.Header
	body   []byte
	// command publishes the body, in place of a plain client.
	command bool
}

// asJSON is an order in JSON with replacements.
func asJSON(replace ...string) []byte {
	return []byte(strings.NewReplacer(replace...).Replace(sampleOrder("ID")))
}

// asProto is an order in protobuf, after change.
func asProto(change func(*messages.OrderCreated)) []byte {
	o := &messages.OrderCreated{
		OrderId: "ID", CustomerId: "c-7", Currency: "EUR", TotalAmount: 19,
		Items: []*messages.OrderItem{{ProductId: "sku-1", Quantity: 2, UnitPrice: 9.5}},
	}
	if change != nil {
		change(o)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(o)
	if err != nil {
		panic(err)
	}
	return body
}

func header(name, value string) nats.Header { return nats.Header{name: {value}} }

// inputs is the table. ID in a body is replaced by the row's id.
var inputs = []input{
	{what: "order in JSON", end: completed, body: asJSON()},
	{what: "order in protobuf", end: completed, body: asProto(nil)},
	{what: "order in JSON spelled in camelCase", end: completed, body: asJSON("order_id", "orderId", "unit_price", "unitPrice")},
	{what: "order without total and currency", end: completed, body: asJSON(`,"total_amount":19,"currency":"EUR"`, "")},
	{what: "order in protobuf with a field of a later version", end: completed, body: append(asProto(nil), 0xfa, 0x01, 0x01, 'x')},

	{what: "customer missing", end: rejected, says: "customer_id is missing", body: asJSON("c-7", "")},
	{what: "`order_id` missing in the body", end: rejected, says: "order_id is missing", body: asJSON("ID", "")},
	{what: "no items", end: rejected, says: "items is empty: want 1–1000", body: asJSON(`{"product_id":"sku-1","quantity":2,"unit_price":9.5}`, "")},
	{what: "more than 1000 items", end: rejected, says: "items has 1001 lines: at most 1000 are allowed", body: asProto(func(o *messages.OrderCreated) {
		for range 1000 {
			o.Items = append(o.Items, o.Items[0])
		}
	})},
	{what: "product missing", end: rejected, says: "items[0].product_id is missing", body: asJSON("sku-1", "")},
	{what: "quantity of 0", end: rejected, says: "items[0].quantity is 0: want at least 1", body: asJSON(`"quantity":2`, `"quantity":0`)},
	{what: "negative price", end: rejected, says: "items[0].unit_price is -9.5: want at least 0", body: asJSON("9.5", "-9.5")},
	{what: "price that is not a number", end: rejected, says: "items[0].unit_price is NaN: want a finite number",
		body: asProto(func(o *messages.OrderCreated) { o.Items[0].UnitPrice = math.NaN() })},
	{what: "infinite price", end: rejected, says: "items[0].unit_price is +Inf: want a finite number",
		body: asProto(func(o *messages.OrderCreated) { o.Items[0].UnitPrice = math.Inf(1) })},
	{what: "infinite total", end: rejected, says: "total_amount is -Inf: want a finite number",
		body: asProto(func(o *messages.OrderCreated) { o.TotalAmount = math.Inf(-1) })},
	{what: "total off by a cent", end: rejected, says: "total_amount is 19.01 EUR: the lines add up to 19", body: asJSON(":19,", ":19.01,")},
	{what: "unknown currency", end: rejected, says: `currency is "EURO": want a currency of ISO 4217`, body: asJSON("EUR", "EURO")},

	{what: "order in protobuf that has more than 256 KiB in JSON", end: rejected, says: "bytes in JSON: at most 262144 are allowed",
		body: asProto(func(o *messages.OrderCreated) {
			for range 199 {
				o.Items = append(o.Items, &messages.OrderItem{ProductId: strings.Repeat("\x01", 220), Quantity: 1})
			}
		})},

	{what: "broken JSON", end: dead, says: "body is not a JSON OrderCreated: syntax error", body: asJSON("}],", "}")},
	{what: "JSON with a field that does not exist", end: dead, says: `unknown field "qty"`, body: asJSON("quantity", "qty")},
	{what: "JSON with a value of the wrong type", end: dead, says: "invalid value for double field", body: asJSON(":19,", `:"much",`)},
	{what: "JSON that is not UTF-8", end: dead, says: "invalid UTF-8", body: asJSON("c-7", "\xff\xfe")},
	{what: "empty body", end: dead, says: "body is empty: want an OrderCreated", body: []byte{}},
	{what: "bytes that are neither JSON nor protobuf", end: dead, says: "body is not a protobuf OrderCreated", body: []byte("hello")},
	{what: "protobuf that is cut off", end: dead, says: "body is not a protobuf OrderCreated", body: asProto(nil)[:20]},
	{what: "JSON under `Content-Type: application/protobuf`", end: dead, says: "body is not a protobuf OrderCreated",
		header: header("Content-Type", "application/protobuf"), body: asJSON()},
	{what: "body of more than 256 KiB", end: dead, says: "bytes: at most 262144 are allowed", body: append(asJSON(), make([]byte, messages.MaxBody)...)},
	{what: "order of 131,000 empty items", end: dead, says: "body has more than 16384 values", body: bytes.Repeat([]byte{3<<3 | 2, 0}, 131_000)},
	{what: "body of more than 512 KiB", end: refused, says: "message size exceeds maximum allowed", body: append(asJSON(), make([]byte, messages.MaxStored)...)},
	{what: "subject whose last token is longer than 64 characters", end: dead, says: "order id has 65 characters: at most 64 are allowed",
		id: strings.Repeat("x", 65), body: asJSON()},
	{what: "subject whose last token has other characters than `A–Z a–z 0–9 _ -`", end: dead, says: "has a character outside A–Z a–z 0–9 _ -",
		id: "größe", body: asJSON()},
	{what: "subject of more than two tokens", end: refused, says: "no response from stream", subject: "ORDER.a.b", body: asJSON()},
	{what: "`order_id` that is not the subject's", end: dead, says: `order_id is "another" and the subject ends in`, body: asJSON("ID", "another")},
	{what: "unknown `Orderly-Type`", end: dead, says: `header Orderly-Type is "order.made": want order.created,`, header: header("Orderly-Type", "order.made"), body: asJSON()},
	{what: "cancel with a body of another type", end: dead, says: `unknown field "order_id"`, header: header("Orderly-Type", "order.cancel"), body: asJSON()},
	{what: "signal without a name", end: dead, says: "body of a signal has no name", header: header("Orderly-Type", "order.signal"), body: []byte("{}")},
	{what: "signal with a name of more than 256 bytes", end: dead, says: "has a name of 257 bytes: at most 256 are allowed",
		header: header("Orderly-Type", "order.signal"), body: []byte(`{"name": "` + strings.Repeat("x", 257) + `"}`)},
	{what: "signal whose data are not JSON", end: dead, says: "data is not JSON",
		header: header("Orderly-Type", "order.signal"), body: []byte("\x0a\x01s\x12\x03NaN")},
	{what: "signal whose data nest deeper than 64 levels", end: dead, says: "data nests deeper than 64 levels",
		header: header("Orderly-Type", "order.signal"), body: []byte(`{"name": "s", "data": ` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`)},
	{what: "skip of a direction that is none", end: dead, says: "want do, undo or none", header: header("Orderly-Type", "order.skip"), body: []byte(`{"direction": "both"}`)},

	{what: "cancel, signal, retry or skip for an order that does not come within `ORDERLY_UNKNOWN_AGE`", end: dead, says: "no such order",
		header: header("Orderly-Type", "order.cancel"), body: []byte("{}")},
	{what: "cancel, signal, retry or skip for an order that has ended", end: nothing, first: asJSON(),
		header: header("Orderly-Type", "order.cancel"), body: []byte("{}")},
	{what: "the same order again", end: nothing, first: asJSON(), body: asJSON()},
	{what: "the same order again, in another encoding", end: nothing, first: asJSON(), body: asProto(nil)},
	{what: "another order under the same id", end: dead, says: "exists with different content", first: asJSON(), body: asJSON(":2,", ":1,", ":19,", ":9.5,")},
	{what: "a wrong order under the id of a good one", end: dead, says: "exists with different content", first: asJSON(), body: asJSON("c-7", "")},
	{what: "the same order again within two minutes, both with the order id as `Nats-Msg-Id`", end: dropped, first: asJSON(), body: asJSON(),
		header: header(nats.MsgIdHdr, "ID")},
	{what: "another order under the same id within two minutes, both with the order id as `Nats-Msg-Id`", end: dropped, first: asJSON(),
		body: asJSON(":2,", ":1,", ":19,", ":9.5,"), header: header(nats.MsgIdHdr, "ID")},
	{what: "the same order again within two minutes, by `orderly publish`, HTTP or `node/engine/client`", end: nothing, first: asJSON(), body: asJSON(),
		header: header(nats.MsgIdHdr, "ID"), command: true},
	{what: "another order under the same id within two minutes, by `orderly publish`, HTTP or `node/engine/client`", end: dead,
		says: "exists with different content", first: asJSON(), body: asJSON(":2,", ":1,", ":19,", ":9.5,"),
		header: header(nats.MsgIdHdr, "ID"), command: true},
}

// prepare gives every row without one an id, and sets the ids in the bodies.
func prepare(rows []input) []input {
	all := make([]input, len(rows))
	for i, row := range rows {
		if row.id == "" {
			row.id = fmt.Sprintf("row%03d", i)
		}
		if row.subject == "" {
			row.subject = "ORDER." + row.id
		}
		row.first, row.body = insert(row.first, row.id), insert(row.body, row.id)
		if row.header.Get(nats.MsgIdHdr) != "" {
			row.header = header(nats.MsgIdHdr, row.id)
		}
		all[i] = row
	}
	return all
}

func insert(body []byte, id string) []byte {
	if strings.HasPrefix(string(body), "\n\x02ID") { // field 1 of protobuf: tag, length, text
		return append([]byte{'\n', byte(len(id))}, strings.Replace(string(body[2:]), "ID", id, 1)...)
	}
	return []byte(strings.ReplaceAll(string(body), `"ID"`, `"`+id+`"`))
}

// TestEveryInput sends every row of the table with a plain NATS client: each has the outcome in the table, and verify
// balances with the counts that follow from the table.
func TestEveryInput(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	rows := prepare(inputs)
	js := p.jetStream(t)
	expect := report{}
	for _, row := range rows {
		if len(row.first) == 0 {
			continue
		}
		before := input{subject: row.subject, body: row.first}
		if row.header.Get(nats.MsgIdHdr) != "" {
			before.header = row.header
		}
		if _, err := send(js, before); err != nil {
			t.Fatal(err)
		}
		expect.Inbox.EverStored++
		expect.Inbox.Accepted++
		expect.Orders.Accepted++
		expect.Orders.Completed++
	}
	for _, row := range rows {
		if len(row.first) > 0 {
			p.waitStatus(t, row.id, "completed")
		}
	}
	for _, row := range rows {
		known, err := false, error(nil)
		if row.command {
			ok(t, p.environ, "publish", write(t, "order.json", string(row.body)))
		} else {
			known, err = send(js, row)
		}
		if known != (row.end == dropped) {
			t.Errorf("%s: acknowledged as a duplicate: %t", row.what, known)
		}
		if (row.end == refused) != (err != nil) || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: the publish ended with %v", row.what, err)
		}
		if err == nil && !known {
			expect.Inbox.EverStored++
		}
		switch row.end {
		case completed:
			expect.Orders.Accepted++
			expect.Orders.Completed++
			expect.Inbox.Accepted++
		case rejected:
			expect.Orders.Accepted++
			expect.Orders.Rejected++
			expect.Inbox.Accepted++
		case dead:
			expect.Inbox.DeadLettered++
			expect.Dead.Messages++
		case nothing:
			expect.Inbox.WithoutEffect++
		}
	}
	p.requireBalanced(t, expect)

	for _, row := range rows {
		t.Run(row.what, func(t *testing.T) { p.checkEnd(t, row) })
	}
}

// checkEnd checks one order or dead letter by the command line.
func (p *process) checkEnd(t *testing.T, row input) {
	letters := deadLettersOf(t, p, row)
	if row.end == dead {
		if len(letters) != 1 || !strings.Contains(letters[0].Reason, row.says) {
			t.Errorf("dead letters %v: want one that says %q", letters, row.says)
		}
	} else if len(letters) > 0 {
		t.Errorf("dead letters %v: want none", letters)
	}
	_, err := messages.ParseOrderID(row.id)
	if err != nil {
		return
	}
	v := command(t, p.environ, "", "get", row.id, "-o", "json")
	status := ""
	if v.code == exitOK {
		status = decode[view](t, v.out).Status
	}
	want := map[string]string{completed: "completed", rejected: "rejected"}[row.end]
	if len(row.first) > 0 {
		want = "completed"
	}
	if status != want {
		t.Errorf("status %q: want %q\n%s%s", status, want, v.out, v.err)
	}
	if row.end == rejected && !strings.Contains(decode[view](t, v.out).Reason, row.says) {
		t.Errorf("want %q in\n%s", row.says, v.out)
	}
}

// deadLettersOf returns the dead letters of a row's subject.
func deadLettersOf(t *testing.T, p *process, row input) []deadLetter {
	t.Helper()
	var found []deadLetter
	for _, l := range decode[[]deadLetter](t, ok(t, p.environ, "dead", "list", "-o", "json")) {
		if l.Subject == row.subject {
			found = append(found, l)
		}
	}
	return found
}

// send publishes as any NATS client would and waits until the message is stored, or known to the stream by its id.
func send(js jetstream.JetStream, row input) (known bool, err error) {
	m := &nats.Msg{Subject: row.subject, Header: row.header, Data: row.body}
	ack, err := js.PublishMsg(context.Background(), m, jetstream.WithRetryAttempts(0))
	return err == nil && ack.Duplicate, err
}

// report is the part of "verify -o json" that tests check.
type report struct {
	Balanced bool `json:"balanced"`
	Orders   struct {
		Accepted, Completed, Rejected, Cancelled, Parked, Attention int
		InFlight                                                    int `json:"in_flight"`
	} `json:"orders"`
	Inbox struct {
		EverStored         int `json:"ever_stored"`
		Waiting, Held      int
		Accepted, Recorded int
		DeadLettered       int `json:"dead_lettered"`
		WithoutEffect      int `json:"without_effect"`
	} `json:"inbox"`
	Dead struct{ Messages, Removed int } `json:"dead_letters"`
}

// requireBalanced waits until the audit balances with these numbers.
func (p *process) requireBalanced(t *testing.T, want report) {
	t.Helper()
	want.Balanced = true
	eventually(t, "the expected report", func() (bool, any) {
		got := command(t, p.environ, "", "verify", "-o", "json")
		return got.code == exitOK && decode[report](t, got.out) == want, fmt.Sprintf("%s%s\nwant %+v", got.out, got.err, want)
	})
}

// TestBadInputIsDocumented compares the table in docs/bad-input.md with this one.
func TestBadInputIsDocumented(t *testing.T) {
	text := document(t, "bad-input.md")
	var table strings.Builder
	for _, row := range inputs {
		end := row.end
		if row.says != "" {
			end += ": `" + strings.TrimSuffix(row.says, ",") + "`"
		}
		fmt.Fprintf(&table, "| %s | %s |\n", row.what, end)
	}
	if !strings.Contains(text, table.String()) {
		t.Errorf("docs/bad-input.md should have this table:\n%s", &table)
	}
}
