package conformance_test

import (
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/conformance"
)

func (b *bench) send(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// What happens to the order of a line.
func retry(b *bench) { b.send(b.orders.Retry(natstest.Context(b), orderID)) }
func skip(b *bench)  { b.send(b.orders.Skip(natstest.Context(b), orderID, "hostile", false)) }
func skipUndo(b *bench) {
	b.send(b.orders.Skip(natstest.Context(b), orderID, "hostile", true))
}
func cancel(b *bench) { b.send(b.orders.Cancel(natstest.Context(b), orderID, "no longer wanted")) }

// signal sends a signal.
func signal(name string) func(*bench) {
	return func(b *bench) {
		b.send(b.orders.Signal(natstest.Context(b), orderID, name, map[string]string{"by": "signal"}))
	}
}

// mend makes a route perform from now on.
func mend(route string) func(*bench) {
	return func(b *bench) { b.hostile.Set(route, conformance.Sequence(conformance.Done(""))) }
}

// requestOf is the body of the first call of a good step, as the service received it.
func (b *bench) requestOf(route string) string {
	b.Helper()
	for _, c := range b.good.Calls() {
		if c.Route == route {
			return string(c.Body)
		}
	}
	b.Fatalf("%s was not called", route)
	return ""
}
