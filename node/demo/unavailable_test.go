package demo_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

func TestServiceGoesAwayAndComesBack(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{Behaviors: demo.All(demo.Behavior{Latency: time.Millisecond})})
	c := newCaller(t, nc)
	behave := func(text string) string {
		t.Helper()
		m, err := nc.Request(demo.SubjectBehave, []byte(text), soon)
		if err != nil {
			t.Fatal(err)
		}
		return string(m.Data) + m.Header.Get("Nats-Service-Error")
	}
	if got, want := behave("payments.away=true"), "inventory.latency=1ms,payments.latency=1ms,payments.away=true,shipping.latency=1ms"; got != want {
		t.Errorf("behaves as %q, want %q", got, want)
	}
	if got := behave("payments.away=maybe"); !strings.Contains(got, "neither true nor false") {
		t.Errorf("a wrong text is answered with %q", got)
	}
	impatient := step(t, "authorize_payment", messages.Encoding_ENCODING_JSON)
	impatient.Timeout = durationpb.New(50 * time.Millisecond)
	o := order("o-away")
	failed := make(chan error, 1)
	c.set.Do(&gateway.Call{Step: impatient, Direction: messages.Do, Request: &messages.StepRequest{
		OrderId: o.OrderId, Step: impatient.Name, Direction: "do", Order: o, IdempotencyKey: "o-away/authorize_payment/do",
	}}, func(_ *messages.StepReply, err error) { failed <- err })
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("a service that is away: %v, want no answer", err)
	}
	c.must("reserve_inventory", messages.Do, o)
	natstest.Eventually(t, "the call arrives", func() bool { return s.Stats().Missed > 0 })
	if st := s.Stats(); st.Missed != 1 || st.Effects != 1 || st.Calls != 1 {
		t.Errorf("%+v, want one call missed and one performed", st)
	}
	behave("payments.away=false")
	c.must("authorize_payment", messages.Do, o)
}
