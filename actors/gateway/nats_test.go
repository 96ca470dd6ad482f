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
	"github.com/orderly-engine/orderly/messages/delivery"
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
	if f := requireFailure(t, err, messages.Transient, "nats://no.listener", "no responders"); f.InDoubt {
		t.Error("a call without a responder is in doubt")
	}
}

// A micro service's error has its code and its text in headers.
func TestErrorsOfMicroServices(t *testing.T) {
	nc := connect(t)
	var code string
	startService(t, nc, func(r micro.Request) {
		_ = r.Error(code, "no paper left", nil, micro.WithHeaders(micro.Headers{"Retry-After": {"3"}}))
	})
	set := newSet(t, nc, gateway.Config{})
	for want, c := range map[string]string{refused: "422", setup: "404", transient: "429", transientInDoubt: "503"} {
		code = c
		_, err := callAndWait(t, set, call("nats://wrap"))
		if got := meaning(nil, err); got != want || !strings.Contains(err.Error(), "no paper left") {
			t.Errorf("%s is %s: %v, want %s", code, got, err, want)
		}
		if f := delivery.AsFailure(err); f.Kind == messages.Transient && f.RetryAfter != 3*time.Second {
			t.Errorf("%s: RetryAfter is %s, want 3s", code, f.RetryAfter)
		}
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
	if f := requireFailure(t, err, messages.Transient, "did not answer"); !f.InDoubt {
		t.Error("a call that timed out is not in doubt")
	}

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
	if f := requireFailure(t, err, messages.Poison, "nats://wrap", "payload"); f.InDoubt {
		t.Error("a call that was not sent is in doubt")
	}
}

func TestLostConnectionIsTransient(t *testing.T) {
	nc := connect(t)
	set := newSet(t, nc, gateway.Config{})
	_, err := callAndWait(t, set, call("nats://wrap"))
	_ = requireFailure(t, err, messages.Transient)
	nc.Close()
	_, err = callAndWait(t, set, call("nats://wrap"))
	if f := requireFailure(t, err, messages.Transient, "nats://wrap"); f.InDoubt {
		t.Error("a call that was not sent is in doubt")
	}
}
