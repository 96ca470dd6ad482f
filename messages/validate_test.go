package messages_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

func line(quantity int32, price float64) *messages.OrderItem {
	return &messages.OrderItem{ProductId: "p", Quantity: quantity, UnitPrice: price}
}

func TestMoney(t *testing.T) {
	for name, c := range map[string]struct {
		currency string
		total    float64
		items    []*messages.OrderItem
		filled   float64
		says     string
	}{
		"two lines":                     {"USD", 25.97, []*messages.OrderItem{line(2, 9.99), line(1, 5.99)}, 25.97, ""},
		"default currency":              {"", 0.30, []*messages.OrderItem{line(1, 0.1), line(1, 0.2)}, 0.3, ""},
		"filled in":                     {"EUR", 0, []*messages.OrderItem{line(3, 0.1)}, 0.3, ""},
		"free of charge":                {"EUR", 0, []*messages.OrderItem{line(3, 0)}, 0, ""},
		"half a cent off":               {"USD", 10.005, []*messages.OrderItem{line(1, 10)}, 10.005, ""},
		"more than half a cent off":     {"USD", 10.006, []*messages.OrderItem{line(1, 10)}, 10.006, "add up to 10"},
		"a cent less":                   {"USD", 9.99, []*messages.OrderItem{line(1, 10)}, 9.99, "add up to 10"},
		"prices below a cent":           {"USD", 0.25, []*messages.OrderItem{line(1, 0.125), line(1, 0.125)}, 0.25, ""},
		"prices below a cent, many":     {"USD", 333, []*messages.OrderItem{line(1000, 0.333)}, 333, ""},
		"yen have no minor unit":        {"JPY", 1001, []*messages.OrderItem{line(1, 1000)}, 1001, "add up to 1000"},
		"yen, half":                     {"JPY", 1000.5, []*messages.OrderItem{line(1, 1000)}, 1000.5, ""},
		"dinars have three digits":      {"KWD", 1.234, []*messages.OrderItem{line(2, 0.617)}, 1.234, ""},
		"dinars, a thousandth off":      {"BHD", 1.235, []*messages.OrderItem{line(2, 0.617)}, 1.235, "add up to 1.234"},
		"unknown currency":              {"XXX", 1, []*messages.OrderItem{line(1, 1)}, 1, "ISO 4217"},
		"a currency in small letters":   {"usd", 1, []*messages.OrderItem{line(1, 1)}, 1, "ISO 4217"},
		"as much as a double can hold":  {"USD", 90071992547409.92, []*messages.OrderItem{line(1, 90071992547409.92)}, 90071992547409.92, ""},
		"more than a double can hold":   {"USD", 1e20, []*messages.OrderItem{line(1, 1e20)}, 1e20, "largest amount"},
		"many lines too much":           {"USD", 1, []*messages.OrderItem{line(math.MaxInt32, 1e6), line(math.MaxInt32, 1e6)}, 1, "largest amount"},
		"many lines below a cent":       {"USD", 0, []*messages.OrderItem{line(math.MaxInt32, 1e6+0.001)}, 0, "largest amount"},
		"a sum that would wrap around":  {"USD", 1, []*messages.OrderItem{line(2048, 90071992547409.92)}, 1, "largest amount"},
		"a total of NaN":                {"USD", math.NaN(), []*messages.OrderItem{line(1, 1)}, math.NaN(), "total_amount is NaN"},
		"a total that is infinite":      {"USD", math.Inf(1), []*messages.OrderItem{line(1, 1)}, math.Inf(1), "total_amount is +Inf"},
		"a negative total":              {"USD", -1, []*messages.OrderItem{line(1, 1)}, -1, "add up to 1"},
		"a hundred thousand of a penny": {"GBP", 1000, []*messages.OrderItem{line(100_000, 0.01)}, 1000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &messages.OrderCreated{OrderId: "o", CustomerId: "c", Items: c.items, TotalAmount: c.total, Currency: c.currency}
			messages.Normalize(o)
			if o.TotalAmount != c.filled && !math.IsNaN(c.filled) {
				t.Errorf("the total became %v, want %v", o.TotalAmount, c.filled)
			}
			err := messages.Validate(o, "o")
			if c.says == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var invalid *messages.InvalidOrder
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestValidateListsAllProblems(t *testing.T) {
	o := &messages.OrderCreated{
		OrderId: "other", CustomerId: strings.Repeat("c", 257), Currency: "EURO", TotalAmount: math.Inf(-1),
		Items: []*messages.OrderItem{{Quantity: 0, UnitPrice: -1, ProductId: "\xff"}, nil},
	}
	err := messages.Validate(o, "o")
	for _, want := range []string{
		`order_id is "other": want "o"`, "customer_id has 257 bytes", "items[0].product_id is not valid UTF-8",
		"items[0].quantity is 0", "items[0].unit_price is -1", "items[1].product_id is missing", "items[1].quantity is 0",
		"total_amount is -Inf", "and 1 more",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %s", err, want)
		}
	}
	if err := messages.Validate(nil, "o"); err == nil {
		t.Error("no order at all is valid")
	}
	many := order()
	many.Items = make([]*messages.OrderItem, 1001)
	if err := messages.Validate(many, "o-1"); err == nil || !strings.Contains(err.Error(), "1001 lines") {
		t.Errorf("got %v", err)
	}
}

func TestSameOrder(t *testing.T) {
	full, bare := order(), order()
	bare.Currency, bare.TotalAmount = "", 0
	if !messages.SameOrder(full, bare) || !messages.SameOrder(bare, full) {
		t.Error("default values make a difference")
	}
	if bare.Currency != "" || bare.TotalAmount != 0 {
		t.Error("comparing changed an order")
	}
	for name, change := range map[string]func(*messages.OrderCreated){
		"id":       func(o *messages.OrderCreated) { o.OrderId = "x" },
		"customer": func(o *messages.OrderCreated) { o.CustomerId = "x" },
		"currency": func(o *messages.OrderCreated) { o.Currency = "EUR" },
		"total":    func(o *messages.OrderCreated) { o.TotalAmount = 25.98 },
		"product":  func(o *messages.OrderCreated) { o.Items[1].ProductId = "x" },
		"quantity": func(o *messages.OrderCreated) { o.Items[1].Quantity = 2 },
		"price":    func(o *messages.OrderCreated) { o.Items[1].UnitPrice = 6 },
		"lines":    func(o *messages.OrderCreated) { o.Items = o.Items[:1] },
		"unknown":  func(o *messages.OrderCreated) { o.ProtoReflect().SetUnknown([]byte{0x7a, 0}) },
	} {
		other := proto.CloneOf(full)
		change(other)
		if messages.SameOrder(full, other) {
			t.Errorf("orders with another %s are the same", name)
		}
	}
}

// TestSizeInJSON: a small body in protobuf can be a large order in JSON, which is what services get.
func TestSizeInJSON(t *testing.T) {
	control := func(items, size int) *messages.OrderCreated {
		o := &messages.OrderCreated{OrderId: "o", CustomerId: "c"}
		for range items {
			o.Items = append(o.Items, &messages.OrderItem{ProductId: strings.Repeat("\x01", size), Quantity: 1})
		}
		messages.Normalize(o)
		return o
	}
	for says, o := range map[string]*messages.OrderCreated{
		"": control(1000, 38),
		"order has 271061 bytes in JSON: at most 262144 are allowed":  control(1000, 40),
		"order has 1531061 bytes in JSON: at most 262144 are allowed": control(1000, 250),
		"items has 131000 lines: at most 1000 are allowed":            {OrderId: "o", CustomerId: "c", Currency: "USD", Items: make([]*messages.OrderItem, 131_000)},
	} {
		if proto.Size(o) > messages.MaxBody+100 {
			t.Fatalf("%d bytes: no body may have so many", proto.Size(o))
		}
		if err := messages.Validate(o, "o"); says == "" && err != nil || says != "" && (err == nil || err.Error() != says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
