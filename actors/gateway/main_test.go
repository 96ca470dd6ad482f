package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// connect returns a connection to a NATS server of its own.
func connect(t testing.TB) *nats.Conn {
	t.Helper()
	return natstest.Start(t, natstest.NoJetStream).Connect()
}

func newSet(t testing.TB, nc *nats.Conn, cfg gateway.Config) *gateway.Set {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s := gateway.New(nc, cfg)
	t.Cleanup(s.Close)
	return s
}

// call returns an attempt of step "wrap" at target.
func call(target string) *gateway.Call {
	return &gateway.Call{
		Step:      &messages.Step{Name: "wrap", Do: target, Undo: target, Timeout: durationpb.New(5 * time.Second)},
		Direction: messages.Do,
		Request: &messages.StepRequest{
			OrderId: "o-1", Step: "wrap", Direction: "do", IdempotencyKey: "o-1/wrap/do",
			Order:   &messages.OrderCreated{OrderId: "o-1", CustomerId: "c-1", Items: []*messages.OrderItem{{ProductId: "p-1", Quantity: 2, UnitPrice: 1.5}}},
			Results: map[string]string{"pick": `"shelf 7"`},
		},
		Attempt: 2, FencingToken: 17,
		Traceparent: traceparent,
	}
}

type callEnd struct {
	reply *messages.StepReply
	err   error
}

// callAndWait makes the call and returns its end.
func callAndWait(t testing.TB, s *gateway.Set, c *gateway.Call) (*messages.StepReply, error) {
	t.Helper()
	ended := make(chan callEnd, 2)
	s.Do(c, func(r *messages.StepReply, err error) { ended <- callEnd{r, err} })
	end := natstest.Receive(t, ended, "the end of the call")
	return end.reply, end.err
}

// requireFailure returns the failure in err, which must be of that kind and contain the texts.
func requireFailure(t testing.TB, err error, kind messages.FailureKind, texts ...string) *delivery.Failure {
	t.Helper()
	var f *delivery.Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got error %v, want a %s failure", err, kind.Label())
	}
	for _, w := range texts {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not contain %q", err, w)
		}
	}
	return f
}
