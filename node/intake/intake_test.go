package intake_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/intake"
)

const good = `{"order_id":"%s","customer_id":"c-1","items":[{"product_id":"p","quantity":1,"unit_price":1}]}`

func order(id string) string { return fmt.Sprintf(good, id) }

func TestRead(t *testing.T) {
	spread := strings.ReplaceAll(order("a"), ",", ",\n  ")
	for name, c := range map[string]struct{ in, want string }{
		"empty":                     {"", ""},
		"white space":               {" \n\t\n", ""},
		"one object":                {order("a"), "1:a"},
		"object over lines":         {spread, "1:a"},
		"array":                     {"[" + order("a") + ",\n" + order("b") + "]\n", "1:a 2:b"},
		"empty array":               {"[]", ""},
		"lines":                     {order("a") + "\n\n" + order("b") + "\n", "1:a 3:b"},
		"objects over lines":        {spread + "\n" + order("b"), "1:a 6:b"},
		"broken line among lines":   {order("a") + "\n{\"order_id\":\n" + order("b"), "1:a 2:error 3:b"},
		"text among lines":          {order("a") + "\nhello\n" + order("b"), "1:a 2:error 3:b"},
		"unknown field":             {`{"order_id":"a","qty":1}` + "\n" + order("b"), "1:error 2:b"},
		"array that does not end":   {"[" + order("a"), "1:a 1:error"},
		"broken element in array":   {"[" + order("a") + ",{]", "1:a 1:error"},
		"wrong element in array":    {"[1," + order("b") + "]", "1:error 1:b"},
		"camel case":                {`{"orderId":"a"}`, "1:a"},
		"several objects in a line": {order("a") + order("b"), "1:error"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := intake.Read(strings.NewReader(c.in), func(o intake.Order) bool {
				if o.Err != nil {
					got = append(got, fmt.Sprintf("%d:error", o.Line))
				} else {
					got = append(got, fmt.Sprintf("%d:%s", o.Line, o.Order.GetOrderId()))
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(order("a") + "\n" + order("b"))
	f.Add("[" + order("a") + "]")
	f.Add("{\n")
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		_ = intake.Read(strings.NewReader(in), func(o intake.Order) bool {
			n++
			if (o.Order == nil) == (o.Err == nil) {
				t.Errorf("order %v, error %v: want one of them", o.Order, o.Err)
			}
			return n < 1000
		})
	})
}
