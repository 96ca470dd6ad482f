package orderjson_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/orderly-engine/orderly/node/cli/orderjson"
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
		"several objects in a line": {order("a") + order("b"), "1:a 1:b"},
		"item on a line of its own": {strings.Replace(order("a"), "[{", "[\n{", 1) + "\n" + order("b"), "1:a 3:b"},
		"text after an object":      {order("a") + " hello " + order("c") + "\n" + order("b"), "1:a 1:error 2:b"},
		"end within an object":      {order("a") + "\n" + order("b")[:20], "1:a 2:error"},
		"array after array":         {"[" + order("a") + "]\n[" + order("b") + "]\n" + order("c"), "1:a 2:b 3:c"},
		"comma at the end of array": {"[" + order("a") + ",]", "1:a 1:error"},
		"no comma in array":         {"[" + order("a") + order("b") + "]", "1:a 1:error"},
		"byte order mark":           {"\xef\xbb\xbf" + order("a"), "1:a"},
		"carriage returns":          {order("a") + "\r\n" + order("b") + "\r\n", "1:a 2:b"},
		"not UTF-8":                 {strings.Replace(order("a"), "c-1", "\xff", 1) + "\n" + order("b"), "1:error 2:b"},
		"UTF-16":                    {"\xff\xfe{\x00\n" + order("b"), "1:error 2:b"},
		"line that never ends":      {strings.Repeat("x", 3<<20) + "\n" + order("b"), "1:error 2:b"},
		"order that never ends":     {`{"order_id":"` + strings.Repeat("x", 3<<20) + "\n" + order("b"), "1:error 2:b"},
		"too large, well-formed":    {strings.Replace(order("a"), "c-1", strings.Repeat("x", 300<<10), 1) + "\n" + order("b"), "1:error 2:b"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := orderjson.Read(strings.NewReader(c.in), func(o orderjson.Order) bool {
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

// Orders read before the reader failed are yielded, and the error is returned.
func TestReadFails(t *testing.T) {
	broken := errors.New("disk failure")
	n := 0
	err := orderjson.Read(io.MultiReader(strings.NewReader(order("a")+"\n"+order("b")), iotest.ErrReader(broken)), func(o orderjson.Order) bool {
		if o.Err != nil {
			t.Errorf("line %d: %v", o.Line, o.Err)
		}
		n++
		return true
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v: want that of the reader", err)
	}
	if n != 2 {
		t.Errorf("%d orders: want the two that were read", n)
	}
}

// An order is yielded as soon as its line is read, before the next one arrives.
func TestReadYieldsEarly(t *testing.T) {
	r, w := io.Pipe()
	got, done := make(chan string), make(chan error, 1)
	go func() {
		done <- orderjson.Read(r, func(o orderjson.Order) bool { got <- o.Order.GetOrderId(); return true })
	}()
	for _, id := range []string{"a", "b"} {
		if _, err := io.WriteString(w, order(id)+"\n"); err != nil {
			t.Fatal(err)
		}
		if first := <-got; first != id {
			t.Errorf("got order %q: want %q", first, id)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Read ends when yield returns false.
func TestReadStops(t *testing.T) {
	for _, in := range []string{order("a") + "\n" + order("b"), "[" + order("a") + "," + order("b") + "]"} {
		n := 0
		if err := orderjson.Read(strings.NewReader(in), func(orderjson.Order) bool { n++; return false }); err != nil || n != 1 {
			t.Errorf("%d orders, error %v: want 1 and none", n, err)
		}
	}
}

// The result does not depend on how many bytes each read returns.
func TestReadInPieces(t *testing.T) {
	in := "[" + order("a") + ",\n" + order("b") + "]\n" + order("c") + "\nhello\n" + order("d")
	var got []string
	err := orderjson.Read(iotest.OneByteReader(strings.NewReader(in)), func(o orderjson.Order) bool {
		got = append(got, fmt.Sprintf("%d:%s", o.Line, o.Order.GetOrderId()))
		return true
	})
	if s := strings.Join(got, " "); err != nil || s != "1:a 2:b 3:c 4: 5:d" {
		t.Errorf("got %q, error %v", s, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(order("a") + "\n" + order("b"))
	f.Add("[" + order("a") + "]")
	f.Add("{\n")
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		_ = orderjson.Read(strings.NewReader(in), func(o orderjson.Order) bool {
			n++
			if (o.Order == nil) == (o.Err == nil) {
				t.Errorf("order %v, error %v: want one of them", o.Order, o.Err)
			}
			return true
		})
		if lines := strings.Count(in, "\n") + 1; n > len(in)+lines {
			t.Errorf("%d orders out of %d bytes", n, len(in))
		}
	})
}
