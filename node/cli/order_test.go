package cli

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/node/demo"
)

// services starts demo services on a node without them.
func services(t *testing.T, p *process, b demo.Behaviors) *demo.Services {
	t.Helper()
	s, err := demo.Start(p.connect(t), demo.Config{Behaviors: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// publish publishes orders by the command line.
func (p *process) publish(t *testing.T, orders string, args ...string) result {
	t.Helper()
	return command(t, p.environ, orders, append([]string{"publish", "-"}, args...)...)
}

// samples are valid orders, one per line.
func samples(ids ...string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(sampleOrder(id) + "\n")
	}
	return b.String()
}

// orderWith is an order of the customer for the product.
func orderWith(id, customer, product string) string {
	return strings.NewReplacer("c-7", customer, "sku-1", product).Replace(sampleOrder(id))
}

// TestOrderCompletes: four steps of the built-in plan in order, five journal entries, four calls.
func TestOrderCompletes(t *testing.T) {
	p := start(t, nil)
	s := services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("o-1"))
	v := p.waitStatus(t, "o-1", "completed")
	want := `accepted: 1 item, 19.00 EUR, plan order v1
reserve_inventory done
authorize_payment done
create_shipment done
capture_payment done
order completed`
	if got := v.summaries(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if last := v.Events[len(v.Events)-1]; last.Number != 5 || last.Node != "node-1" {
		t.Errorf("the end is entry %d of node %s: want 5 of node-1", last.Number, last.Node)
	}
	if stats := s.Stats(); stats.Calls != 4 || stats.Repeats != 0 {
		t.Errorf("services were called %d times, %d of them again: want 4 and 0", stats.Calls, stats.Repeats)
	}
}

// TestRejectedOrderIsUndone: a refusal ends the order, and the done steps are undone in reverse.
func TestRejectedOrderIsUndone(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	for id, c := range map[string]struct{ order, want, reason string }{
		"first": {orderWith("first", "c-1", demo.ProductOutOfStock), `accepted: 1 item, 19.00 EUR, plan order v1
reserve_inventory refused: out_of_stock: a product of the order is out of stock
order rejected: out_of_stock: a product of the order is out of stock`, "out of stock"},
		"second": {orderWith("second", demo.CustomerDeclined, "sku-1"), `accepted: 1 item, 19.00 EUR, plan order v1
reserve_inventory done
authorize_payment refused: card_declined: the card of the customer was declined
reserve_inventory undone
order rejected: card_declined: the card of the customer was declined`, "declined"},
		"third": {orderWith("third", "c-1", demo.ProductTooHeavy), `accepted: 1 item, 19.00 EUR, plan order v1
reserve_inventory done
authorize_payment done
create_shipment refused: too_heavy: no carrier takes a product of the order
authorize_payment undone
reserve_inventory undone
order rejected: too_heavy: no carrier takes a product of the order`, "no carrier"},
	} {
		p.publish(t, c.order)
		v := p.waitStatus(t, id, "rejected")
		if got := v.summaries(); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", id, got, c.want)
		}
		if !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: reason %q: want %q in it", id, v.Reason, c.reason)
		}
	}
}

// startWithBlockedStep starts a node whose last step blocks until open is called or the test ends.
func startWithBlockedStep(t *testing.T, environ ...string) (p *process, open func()) {
	t.Helper()
	p = withPlan(t, `
name: slow
version: 1
steps:
  - {name: reserve_inventory, do: nats://inventory.reserve, undo: nats://inventory.release, timeout: 1m}
  - {name: authorize_payment, do: nats://payments.authorize, undo: nats://payments.void, timeout: 1m}
  - {name: create_shipment, do: nats://slow.create, undo: nats://slow.cancel, timeout: 1m}
`, environ...)
	gate := make(chan struct{})
	open = sync.OnceFunc(func() { close(gate) })
	nc := p.connect(t)
	if _, err := nc.Subscribe("slow.*", func(m *nats.Msg) {
		<-gate
		_ = m.Respond([]byte(`{"done": {}}`)) // fails if the node has ended
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(open)
	return p, open
}

// TestCancelUndoesInReverse: a cancel during a slow step settles the step in doubt and then undoes all steps, last
// first.
func TestCancelUndoesInReverse(t *testing.T) {
	t.Parallel()
	p, open := startWithBlockedStep(t)
	s := services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("o-1"))
	eventually(t, "the second step", func() (bool, any) {
		got := command(t, p.environ, "", "get", "o-1", "-o", "json")
		return strings.Contains(got.out, "authorize_payment done"), got.out
	})
	ok(t, p.environ, "cancel", "o-1", "--reason", "changed my mind")
	p.waitRecorded(t, "o-1", "cancel_requested", 1)
	open()
	v := p.waitStatus(t, "o-1", "cancelled")
	want := `accepted: 1 item, 19.00 EUR, plan slow v1
reserve_inventory done
authorize_payment done
cancel requested: changed my mind
create_shipment done
create_shipment undone
authorize_payment undone
reserve_inventory undone
order cancelled: changed my mind`
	if got := v.summaries(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if v.Reason != "changed my mind" {
		t.Errorf("reason %q", v.Reason)
	}
	for _, c := range s.Order("o-1") {
		if c.Effects > 1 {
			t.Errorf("%s took effect %d times", c.Key, c.Effects)
		}
	}
	text := ok(t, p.environ, "get", "o-1")
	if !strings.Contains(text, "status      cancelled: changed my mind (after ") {
		t.Errorf("got\n%s", text)
	}
}
