package gateway_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// shop reads the answers of a service that does not know Orderly.
var shop = &messages.Reading{
	DoneWhen:     `body.success || body.status == "ok"`,
	RejectedWhen: `body.success == false || body.code == "declined" || status == 410`,
	PendingWhen:  `body.status == "later"`,
	RetryWhen:    `body.status == "busy"`,
	Data:         "body.payment",
	Code:         "body.code",
	Reason:       "body.message",
}

// Every answer is given over HTTP and over NATS, for a do that shop reads and for an undo that it reads.
func TestReading(t *testing.T) {
	for _, a := range []answer{
		{name: "done", status: 200, body: `{"status":"ok","payment":{"id":"p-1","amount":1.10,"big":9007199254740993}}`, want: "done", words: `{\"id\":\"p-1\",\"amount\":1.10,\"big\":9007199254740993}`},
		{name: "done without a status", body: `{"status":"ok","payment":1.10}`, want: "done", words: `"1.10"`},
		{name: "done 500", status: 500, body: `{"success":true}`, want: "done"},
		{name: "done with a byte order mark", status: 200, body: "\ufeff{\"success\":true}", want: "done"},
		{name: "done as text/html", status: 200, header: asHTML, body: `{"success":true}`, want: "done"},
		{name: "data that are too large", status: 200, body: `{"success":true,"payment":"` + strings.Repeat("x", messages.MaxBody) + `"}`, want: dropped},
		{name: "data that nest too deeply", status: 200, body: `{"success":true,"payment":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, want: dropped},
		{name: "data that are not UTF-8", status: 200, body: `{"success":true,"payment":"\ud800` + "\xff" + `"}`, want: "done", words: "\\\\ufffd\ufffd"},

		{name: "success is false", status: 200, body: `{"success":false}`, want: "rejected", words: `reason:"no reason given"`},
		{name: "declined 200", status: 200, body: `{"code":"declined","message":"no cover"}`, want: "rejected", words: `code:"declined"`},
		{name: "declined 400", status: 400, body: `{"code":"declined","message":"no cover"}`, want: "rejected", words: `reason:"no cover"`},
		{name: "declined with the detail of a problem document", status: 400, body: `{"code":"declined","detail":"no cover"}`, want: "rejected", words: `reason:"no cover"`},
		{name: "gone", status: 410, body: `{}`, want: "rejected", words: `reason:"Gone"`},
		{name: "gone, by its status", status: 410, body: `{}`, want: "rejected", words: `code:"410"`},
		{name: "a code of two lines", status: 200, body: `{"code":"declined","message":"no\ncover\u0000` + strings.Repeat("x", 2000) + `"}`, want: "rejected", words: `reason:"no coverxxx`},

		{name: "pending", status: 200, header: map[string]string{"Retry-After": "60"}, body: `{"status":"later"}`, want: "pending", words: `deadline:{`},
		{name: "retry", status: 503, header: map[string]string{"Retry-After": "7"}, body: `{"status":"busy","message":"later"}`, want: "retry", words: "seconds:7"},
		{name: "retry without a delay", status: 200, body: `{"status":"busy","message":"later"}`, want: "retry", words: `reason:"later"`},

		// A StepReply precedes the reading.
		{name: "StepReply", status: 200, body: `{"done":{},"success":false}`, want: "done"},
		{name: "StepReply 410", status: 410, body: `{"done":{}}`, want: "done"},
		// One that is not valid does not.
		{name: "two results", status: 200, body: `{"done":{},"rejected":{},"success":false}`, want: "rejected"},

		// No condition is true: the status decides.
		{name: "no condition 200", status: 200, body: `{"payment":1}`, want: unreadable, words: `is true for it; it begins with "{\"payment\":1}"`},
		{name: "no condition without a status", body: `{"payment":1}`, want: unreadable, words: "is true for it"},
		{name: "no condition 404", status: 404, body: `{"payment":1}`, want: setup},
		{name: "no condition 422", status: 422, body: `{"payment":1}`, want: refused},
		{name: "no condition 503", status: 503, body: `{"payment":1}`, want: transientInDoubt},
		{name: "not JSON", status: 200, body: `<html>`, want: unreadable, words: `unexpected "<html>" at byte 0`},
		{name: "not JSON 410", status: 410, body: `<html>`, want: setup},
		{name: "empty", status: 200, want: "done"},
		{name: "empty 410", status: 410, want: setup},
		{name: "broken", status: 200, body: `{"success":true`, want: unreadable},
		{name: "larger than can be read", status: 200, body: `{"success":true,"x":"` + strings.Repeat("x", answerLimit) + `"}`, want: unreadable, words: "more than"},
		{name: "larger than can be read 410", status: 410, body: `{"success":true,"x":"` + strings.Repeat("x", answerLimit) + `"}`, want: setup},

		// A condition that cannot be evaluated: the status decides, and the text says why.
		{name: "no condition can be asked", status: 200, body: `{"success":"yes"}`, want: unreadable, words: "reply.done_when: the values do not fit"},
		{name: "no condition can be asked 404", status: 404, body: `{"success":"yes"}`, want: setup, words: "reply.done_when: the values do not fit"},
		{name: "no condition can be asked 422", status: 422, body: `{"success":"yes"}`, want: refused},
		{name: "no condition can be asked 503", status: 503, body: `{"success":"yes"}`, want: transientInDoubt, words: "reply.done_when: the values do not fit"},
	} {
		t.Run(a.name, func(t *testing.T) {
			undo := call("nats://wrap")
			undo.Direction, undo.Step.UndoReply = messages.Undo, shop
			do := call("nats://wrap")
			do.Step.Reply, do.Step.UndoReply = shop, &messages.Reading{RetryWhen: "true"}
			set := newSet(t, nil, gateway.Config{MaxReply: answerLimit, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return respond(a.status, a.header, a.body), nil
			})})
			for _, c := range []*gateway.Call{do, undo} {
				m := &nats.Msg{Header: nats.Header{}, Data: []byte(a.body)}
				for key, value := range a.header {
					m.Header.Set(key, value)
				}
				if a.status >= 300 {
					m.Header.Set("Nats-Service-Error-Code", strconv.Itoa(a.status))
				}
				if a.status >= 300 || len(a.body) > 0 {
					reply, err := set.ReadNATS(c, m)
					checkAnswer(t, a, reply, err)
				}
				if a.status > 0 {
					c.Step.Do, c.Step.Undo = "http://packing.example/wrap", "http://packing.example/wrap"
					reply, err := callAndWait(t, set, c)
					checkAnswer(t, a, reply, err)
				}
			}
		})
	}
}

func TestPendingOfAReadingHasTheSignalOfItsDirection(t *testing.T) {
	set := newSet(t, nil, gateway.Config{})
	for d, want := range map[messages.Direction]string{messages.Do: "wrap", messages.Undo: "wrap_undo"} {
		c := call("nats://wrap")
		c.Direction, c.Step.Reply, c.Step.UndoReply = d, shop, shop
		reply, err := set.ReadNATS(c, &nats.Msg{Data: []byte(`{"status":"later"}`)})
		if got := reply.GetPending(); got.GetSignal() != want || got.GetDeadline() != nil {
			t.Errorf("%s: got %s, %v, want signal %s", d.Label(), reply, err, want)
		}
	}
}

func TestReadingOfABrokenBody(t *testing.T) {
	c := call("http://packing.example/wrap")
	c.Step.Reply = &messages.Reading{DoneWhen: "true"}
	set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: &brokenBody{strings.NewReader(`{"success":true}`)}}, nil
	})})
	_, err := callAndWait(t, set, c)
	if got := meaning(nil, err); got != unreadable {
		t.Errorf("a body that broke off: %s, %v, want %s", got, err, unreadable)
	}
}

// brokenBody is a body whose connection breaks at its end.
type brokenBody struct{ *strings.Reader }

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.Len() == 0 {
		return 0, http.ErrContentLength
	}
	return b.Reader.Read(p)
}

func (*brokenBody) Close() error { return nil }

// A plan that another version accepted may have an expression that this one cannot read: the call is not made.
func TestUnknownReadingDefersTheCall(t *testing.T) {
	set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("the call was made")
		return respond(200, nil, ""), nil
	})})
	for _, d := range []messages.Direction{messages.Do, messages.Undo} {
		c := call("http://packing.example/wrap")
		c.Direction = d
		c.Step.Reply, c.Step.UndoReply = &messages.Reading{DoneWhen: "body.tomorrow()"}, &messages.Reading{DoneWhen: "body.tomorrow()"}
		_, err := callAndWait(t, set, c)
		f := requireFailure(t, err, messages.Transient, "this node cannot read ", "reply of step wrap: done_when: there is no variable or function 'tomorrow'")
		if f.Deferral == nil || f.InDoubt || !strings.Contains(f.Deferral.Reason, "reply of step wrap") || time.Until(f.Deferral.Until) < 10*time.Second {
			t.Errorf("%s: got %+v, want a deferral", d.Label(), f)
		}
	}
}

// FuzzReading gives any answer to a call that the plan reads. It is done or rejected only if the condition is true.
func FuzzReading(f *testing.F) {
	for _, body := range []string{`{"status":"ok","payment":[1.10,"\ud800"]}`, `{"success":false}`, `{"code":"declined","message":{"a":1}}`, `{"status":"busy"}`, `"x"`, `{"success":1}`} {
		f.Add(200, []byte(body))
		f.Add(503, []byte(body))
	}
	set := newSet(f, nil, gateway.Config{MaxReply: 4 << 10})
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		c := call("nats://wrap")
		c.Step.Reply = shop
		m := &nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {strconv.Itoa(status)}}, Data: body}
		reply, err := set.ReadNATS(c, m)
		plain := call("nats://wrap")
		unread, unreadErr := set.ReadNATS(plain, m)
		if unreadErr == nil && unread.GetResult() != nil && err != nil {
			t.Fatalf("%q: without the reading it is %s, with it %v", body, unread, err)
		}
		if err != nil {
			if text := err.Error(); len(text) > 4<<10 || strings.ContainsAny(text, "\n\r") {
				t.Fatalf("text %q", text)
			}
			if k := delivery.AsFailure(err).Kind; k == messages.Poison || k == messages.Defect {
				t.Fatalf("kind %s", k.Label())
			}
			return
		}
		if unreadErr == nil {
			return
		}
		for what, word := range map[string]bool{"ok success": reply.GetDone() != nil, "declined success": reply.GetRejected() != nil && status != 410, "later": reply.GetPending() != nil, "busy": reply.GetRetry() != nil} {
			found := false
			for w := range strings.FieldsSeq(what) {
				found = found || strings.Contains(string(body), w) || strings.Contains(string(body), `\u`)
			}
			if word && !found {
				t.Fatalf("%q is %s", body, reply)
			}
		}
	})
}

func BenchmarkReading(b *testing.B) {
	for name, c := range map[string]struct {
		reading *messages.Reading
		body    string
	}{
		"without a reading":   {nil, `{"done":{"data":{"id":"p-1","amount":1.10}}}`},
		"StepReply":           {shop, `{"done":{"data":{"id":"p-1","amount":1.10}}}`},
		"read by expressions": {shop, `{"status":"ok","payment":{"id":"p-1","amount":1.10}}`},
	} {
		b.Run(name, func(b *testing.B) {
			set := newSet(b, nil, gateway.Config{})
			call := call("nats://wrap")
			call.Step.Reply = c.reading
			m := &nats.Msg{Header: nats.Header{}, Data: []byte(c.body)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.ReadNATS(call, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
