package conformance_test

import (
	"fmt"
	"strings"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/conformance"
)

// redirects answer with the address of another route, whose calls are counted.
func redirects() map[string]conformance.Script {
	return forStatuses(func(s int) conformance.Script {
		return always(conformance.Status(s, "moved").With("Location", "/undo"))
	}, 300, 301, 302, 303, 307, 308)
}

var setupLines = []line{
	{answer: "401, 403, 404, 405, 407, 413, 415, 421, 426 or 431, until the set-up is repaired", over: both, attempts: 1,
		cases: untilMended(401, 403, 404, 405, 407, 413, 415, 421, 426, 431),
		acts:  []act{onPark("out of paper", "", nil), onPark("", "the repair", mend("do"))},
		end:   completed, note: "no attempt is spent", events: begun + waited + " " + toEnd, performed: 1},
	{answer: "any other 4xx, until the set-up is repaired", over: both, attempts: 1, cases: untilMended(otherStatuses...),
		acts: []act{onPark("out of paper", "the repair", mend("do"))},
		end:  completed, note: "no attempt is spent", events: begun + waited + " " + toEnd, performed: 1},
	{answer: "3xx, except 304, until the set-up is repaired", over: both, attempts: 1, cases: redirects(),
		acts: []act{onPark("redirects are not followed", "the repair", mend("do"))},
		end:  completed, note: "no attempt is spent", events: begun + waited + " " + toEnd, performed: 1, undos: none},
	{answer: "304, until the set-up is repaired", over: both, attempts: 1, do: always(bare(304)),
		acts: []act{onPark("answered 304", "the repair", mend("do"))},
		end:  completed, note: "no attempt is spent", events: begun + waited + " " + toEnd, performed: 1},
	{answer: "401, until the order is cancelled and the set-up repaired", over: both, attempts: 1, do: always(bare(401)),
		acts: []act{onPark("out of paper", "a cancel and the repair", func(b *bench) { cancel(b); mend("do")(b) })},
		end:  cancelled, performed: 1, undone: 1},
	{answer: "401 to 200 orders at once, with `attempts: 1`, until the set-up is repaired", over: both, attempts: 1, do: always(bare(401)),
		run: manyOrders, end: completed, note: "all 200 orders complete", performed: 1},
	{answer: "404 to one order, done to all others", over: both, attempts: 1,
		do: func(c conformance.Call) conformance.Answer {
			if c.OrderID == orderID {
				return bare(404)
			}
			return conformance.Done("")
		},
		run: sickOrder, end: attention, says: "out of paper", note: "its own attempts end it"},
}

// manyOrders creates 200 orders, mends the service when the last one has parked, and waits for their ends.
func manyOrders(b *bench) {
	ids := []string{orderID}
	for i := range 199 {
		ids = append(ids, fmt.Sprintf("many-%d", i))
	}
	for _, id := range ids {
		b.create(id)
	}
	b.until("the last order parks", func() bool { return strings.Contains(b.kinds(ids[len(ids)-1]), parked) })
	mend("do")(b)
	parks := 0
	for _, id := range ids {
		if v, err := b.orders.Wait(natstest.Context(b), id); err != nil || v.Status != completed {
			b.Fatalf("order %s: %v, %v", id, v, err)
		}
		kinds := b.kinds(id)
		if strings.Contains(kinds, "step_failed") {
			b.Errorf("order %s spent an attempt: %s", id, kinds)
		}
		if strings.Contains(kinds, parked) {
			parks++
		}
	}
	if parks < len(ids)/2 {
		b.Errorf("%d of %d orders met the fault", parks, len(ids))
	}
}

// sickOrder lets another order complete after each park of the line's order, until that one needs attention.
func sickOrder(b *bench) {
	b.create("healthy")
	if _, err := b.orders.Wait(natstest.Context(b), "healthy"); err != nil {
		b.Fatal(err)
	}
	b.create(orderID)
	n := 0
	b.until("the order needs attention", func() bool {
		if strings.HasSuffix(b.kinds(orderID), attention) {
			return true
		}
		n++
		id := fmt.Sprintf("healthy-%d", n)
		b.create(id)
		v, err := b.orders.Wait(natstest.Context(b), id)
		if err != nil || v.Status != completed {
			b.Fatalf("order %s: %v, %v", id, v, err)
		}
		return false
	})
}
