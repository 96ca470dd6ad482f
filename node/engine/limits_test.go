package engine_test

import (
	"fmt"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// TestLargestOrder: an order that is as large as it may be, with as many data as it may have, is carried to its end by a server
// with the least max_payload: accepted, called, parked, woken by the largest signal, and undone.
func TestLargestOrder(t *testing.T) {
	t.Parallel()
	for _, protobuf := range []bool{false, true} {
		t.Run(fmt.Sprintf("protobuf=%t", protobuf), func(t *testing.T) {
			t.Parallel()
			inner := natstest.Start(t, func(o *natsserver.Options) { o.MaxPayload = messages.MinPayload })
			s := &server{inner, t, inner.JetStream()}
			o := largestOrder(t)
			const name = "paid"
			first := text(messages.MaxBody)
			signal := &messages.SignalOrder{Name: name, Data: text(messages.MaxBody - len(name) - 8)}

			sizes := make(chan int, 10)
			nc := s.Connect()
			if _, err := nc.Subscribe("services.>", func(m *nats.Msg) {
				reply := `{"done":{}}`
				switch m.Subject {
				case "services.large.do":
					reply = `{"done":{"data":` + first + `}}`
				case "services.signal.do":
					reply = `{"pending":{"signal":"` + name + `"}}`
				case "services.last.do":
					reply = `{"rejected":{"code":"no"}}`
					sizes <- m.Size()
				}
				if err := m.Respond([]byte(reply)); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			p := engine.Plan{Name: "large", Version: 1}
			for _, step := range []string{"large", "signal", "last"} {
				p.Steps = append(p.Steps, engine.Step{
					Name: step, Do: engine.URL("nats://services." + step + ".do"), Undo: engine.URL("nats://services." + step + ".undo"),
					Timeout: natstest.Patience, Protobuf: protobuf,
				})
			}
			s.start(p, engine.Config{})
			s.publish(ingress.Outgoing{OrderID: messages.OrderID(o.OrderId), Body: o})
			until := func(kind string) (kinds []string) {
				natstest.Eventually(t, kind, func() bool {
					_, kinds = s.history(messages.OrderID(o.OrderId))
					return len(kinds) > 0 && kinds[len(kinds)-1] == kind
				})
				return kinds
			}
			until("parked")
			s.publish(ingress.Outgoing{OrderID: messages.OrderID(o.OrderId), Body: signal})
			if got := natstest.Receive(t, sizes, "the call of the last step"); got < messages.MinPayload*7/8 {
				t.Errorf("the request has %d bytes: want nearly %d, or this test proves nothing", got, messages.MinPayload)
			}
			want := "accepted step_completed step_pending parked signalled resumed step_completed step_rejected step_undone step_undone rejected"
			if got := strings.Join(until("rejected"), " "); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// text is JSON text of that many bytes.
func text(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }

// largestOrder is as large as is allowed, in protobuf and in JSON, to within a hundred bytes.
func largestOrder(t *testing.T) *messages.OrderCreated {
	t.Helper()
	o := &messages.OrderCreated{OrderId: strings.Repeat("o", messages.MaxOrderIDLen), CustomerId: strings.Repeat("c", messages.MaxName)}
	size := 500
	for len(o.Items) < messages.MaxItems && size < messages.MaxBody-300 {
		o.Items = append(o.Items, &messages.OrderItem{ProductId: strings.Repeat("p", messages.MaxName), Quantity: 1})
		size += messages.MaxName + len(`{"product_id":"","quantity":1},`)
	}
	messages.Normalize(o)
	if err := messages.Validate(o, messages.OrderID(o.OrderId)); err != nil {
		t.Fatal(err)
	}
	return o
}
