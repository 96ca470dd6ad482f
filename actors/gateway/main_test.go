package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	// soon is how long a test waits for what must happen.
	soon = 30 * time.Second
)

// connect starts a NATS server for the test and connects to it.
func connect(t testing.TB) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(soon) {
		t.Fatal("NATS server did not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
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

// call is an attempt of step "wrap" at target.
func call(target string) *gateway.Call {
	return &gateway.Call{
		Step:      &messages.Step{Name: "wrap", Do: target, Undo: target, Timeout: durationpb.New(5 * time.Second)},
		Direction: messages.Do,
		Request: &messages.StepRequest{
			OrderId: "o-1", Step: "wrap", Direction: "do", Attempt: 1, IdempotencyKey: "o-1/wrap/do", FencingToken: 17,
			Order:   &messages.OrderCreated{OrderId: "o-1", CustomerId: "c-1", Items: []*messages.OrderItem{{ProductId: "p-1", Quantity: 2, UnitPrice: 1.5}}},
			Results: map[string]*structpb.Value{"pick": structpb.NewStringValue("shelf 7")},
		},
		Traceparent: parent,
	}
}

type outcome struct {
	reply *messages.StepReply
	err   error
}

// do performs the call and waits for its end.
func do(t testing.TB, s *gateway.Set, c *gateway.Call) (*messages.StepReply, error) {
	t.Helper()
	ended := make(chan outcome, 2)
	s.Do(c, func(r *messages.StepReply, err error) { ended <- outcome{r, err} })
	select {
	case o := <-ended:
		return o.reply, o.err
	case <-time.After(soon):
		t.Fatal("done was not called")
		return nil, nil
	}
}

// failure is the typed failure in err, which must be of the kind and say the words.
func failure(t testing.TB, err error, kind messages.FailureKind, words ...string) *delivery.Failure {
	t.Helper()
	var f *delivery.Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got error %v, want a %s failure", err, kind.Label())
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	return f
}
