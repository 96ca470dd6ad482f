package demo

import (
	"fmt"
	"math/rand/v2"

	"github.com/orderly-engine/orderly/messages"
)

// product of the sample shop, its price in minor units.
type product struct {
	id    string
	price int
}

var shop = []product{
	{"walnut-desk", 34900}, {"brass-lamp", 5950}, {"reading-chair", 21900}, {"linen-curtain", 4425}, {"oak-shelf", 12900},
	{"wool-rug", 18950}, {"copper-kettle", 6399}, {"stone-mortar", 3275}, {"paper-globe", 2999}, {"cork-board", 1849},
	{"ink-bottle", 799}, {"pencil-box", 1250}, {"tin-whistle", 1495}, {"glass-carafe", 2680}, {"birch-stool", 7900},
}

// Samples returns n orders, the same for the same seed; use a random seed for new ids. The demo services refuse one in ten:
// inventory, payments and shipping in turn.
func Samples(n int, seed uint64) []*messages.OrderCreated {
	r := rand.New(rand.NewPCG(seed, 0x6f726465726c79))
	run := prefix(r)
	orders := make([]*messages.OrderCreated, 0, max(n, 0))
	for i := range n {
		orders = append(orders, sample(r, fmt.Sprintf("%s-%04d", run, i+1), i))
	}
	return orders
}

func sample(r *rand.Rand, id string, i int) *messages.OrderCreated {
	o := &messages.OrderCreated{OrderId: id, CustomerId: fmt.Sprintf("c-%d", 1000+r.IntN(9000)), Currency: "USD"}
	if r.IntN(4) == 0 {
		o.Currency = "EUR"
	}
	total := 0
	for _, p := range r.Perm(len(shop))[:1+r.IntN(4)] {
		quantity := 1 + r.IntN(3)
		total += quantity * shop[p].price
		o.Items = append(o.Items, &messages.OrderItem{
			ProductId: shop[p].id, Quantity: int32(quantity), UnitPrice: units(shop[p].price),
		})
	}
	o.TotalAmount = units(total)
	switch i % 30 {
	case 3:
		o.CustomerId = CustomerDeclined
	case 12:
		o.Items[0].ProductId = ProductOutOfStock
	case 21:
		o.Items[0].ProductId = ProductTooHeavy
	}
	return o
}

// prefix is the first eight characters of the ids of one call of Samples.
func prefix(r *rand.Rand) string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	b := make([]byte, 8)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func units(minor int) float64 { return float64(minor) / 100 }
