package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// startService runs a NATS micro service for "wrap".
func startService(t *testing.T, nc *nats.Conn, handle micro.HandlerFunc) {
	t.Helper()
	s, err := micro.AddService(nc, micro.Config{Name: "wrapping", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if err := s.AddEndpoint("wrap", handle); err != nil {
		t.Fatal(err)
	}
}

func TestNoRespondersFailsAtOnce(t *testing.T) {
	set := newSet(t, connect(t), gateway.Config{})
	c := call("nats://no.listener")
	c.Step.Timeout = durationpb.New(time.Minute)
	_, err := callAndWait(t, set, c)
	_ = requireFailure(t, err, messages.Transient, "nats://no.listener", "no responders")
}

func TestServiceErrorCodesMeanHTTPStatuses(t *testing.T) {
	for code, want := range map[string]string{
		"400": "rejected", "404": "rejected", "409": "rejected", "422": "rejected",
		"408": "transient", "425": "transient", "429": "transient", "500": "transient", "503": "transient", "302": "transient",
		"TOO_BAD": "transient",
	} {
		t.Run(code, func(t *testing.T) {
			nc := connect(t)
			startService(t, nc, func(r micro.Request) {
				_ = r.Error(code, "no paper left", nil, micro.WithHeaders(micro.Headers{"Retry-After": {"3"}}))
			})
			reply, err := callAndWait(t, newSet(t, nc, gateway.Config{}), call("nats://wrap"))
			if want == "rejected" {
				if err != nil {
					t.Fatal(err)
				}
				if r := reply.GetRejected(); r.GetCode() != code || r.GetReason() != "no paper left" {
					t.Errorf("got %s", reply)
				}
				return
			}
			f := requireFailure(t, err, messages.Transient, "nats://wrap")
			if code == "503" && f.RetryAfter != 3*time.Second {
				t.Errorf("RetryAfter is %s, want 3s", f.RetryAfter)
			}
		})
	}
}

func TestRejectionInServiceErrorBody(t *testing.T) {
	nc := connect(t)
	startService(t, nc, func(r micro.Request) {
		_ = r.Error("409", "conflict", []byte(`{"rejected":{"code":"out_of_stock","reason":"no paper"}}`))
	})
	reply, err := callAndWait(t, newSet(t, nc, gateway.Config{}), call("nats://wrap"))
	if err != nil || reply.GetRejected().GetCode() != "out_of_stock" {
		t.Errorf("got %s, %v", reply, err)
	}
}

func TestNATSReplyNeedsAResult(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "no result": "{}", "plain data": `{"reservation":"r-1"}`, "garbage": "<html>", "two results": `{"done":{},"retry":{}}`,
		"huge": `{"done":{"data":"` + strings.Repeat("x", 3<<10) + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			nc := connect(t)
			startService(t, nc, func(r micro.Request) { _ = r.Respond([]byte(body)) })
			_, err := callAndWait(t, newSet(t, nc, gateway.Config{MaxReply: 2 << 10}), call("nats://wrap"))
			_ = requireFailure(t, err, messages.Transient, "nats://wrap", "answer")
		})
	}
}

func TestLateAndDuplicateRepliesAreIgnored(t *testing.T) {
	nc := connect(t)
	requests := make(chan *nats.Msg, 2)
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) { requests <- m }); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{})
	late := call("nats://wrap")
	late.Step.Timeout = durationpb.New(20 * time.Millisecond)
	_, err := callAndWait(t, set, late)
	_ = requireFailure(t, err, messages.Transient, "did not answer")

	ended := make(chan callEnd, 4)
	set.Do(call("nats://wrap"), func(r *messages.StepReply, err error) { ended <- callEnd{r, err} })
	first, second := <-requests, <-requests
	for _, m := range []*nats.Msg{first, second, second} {
		if err := m.Respond([]byte(`{"done":{"data":"` + m.Reply + `"}}`)); err != nil {
			t.Fatal(err)
		}
	}
	if o := <-ended; o.err != nil || o.reply.GetDone().GetData() != `"`+second.Reply+`"` {
		t.Errorf("got %s, %v: want the reply to the second call", o.reply, o.err)
	}
	// The replies are read in order: once a further call has its reply, the duplicate has been read.
	set.Do(call("nats://wrap"), func(r *messages.StepReply, err error) { ended <- callEnd{r, err} })
	if err := (<-requests).Respond([]byte(`{"rejected":{}}`)); err != nil {
		t.Fatal(err)
	}
	if o := <-ended; o.reply.GetRejected() == nil {
		t.Errorf("got %s, %v: a duplicate reply ended another call", o.reply, o.err)
	}
}

func TestRequestTooLargeIsPoison(t *testing.T) {
	nc := connect(t)
	c := call("nats://wrap")
	c.Request.Order.CustomerId = strings.Repeat("x", int(nc.MaxPayload()))
	_, err := callAndWait(t, newSet(t, nc, gateway.Config{}), c)
	_ = requireFailure(t, err, messages.Poison, "nats://wrap", "payload")
}

func TestLostConnectionIsTransient(t *testing.T) {
	nc := connect(t)
	set := newSet(t, nc, gateway.Config{})
	_, err := callAndWait(t, set, call("nats://wrap"))
	_ = requireFailure(t, err, messages.Transient)
	nc.Close()
	_, err = callAndWait(t, set, call("nats://wrap"))
	_ = requireFailure(t, err, messages.Transient, "nats://wrap")
}
