package messages_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

func order() *messages.OrderCreated {
	return &messages.OrderCreated{
		OrderId:     "o-1",
		CustomerId:  "c-1",
		TotalAmount: 25.97,
		Currency:    "USD",
		Items: []*messages.OrderItem{
			{ProductId: "p-1", Quantity: 2, UnitPrice: 9.99},
			{ProductId: "p-2", Quantity: 1, UnitPrice: 5.99},
		},
	}
}

func wire(t testing.TB, m proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDecodeCreated(t *testing.T) {
	json := `{"order_id":"o-1","customer_id":"c-1","items":[{"product_id":"p-1","quantity":2,"unit_price":9.99},
		{"productId":"p-2","quantity":1,"unitPrice":5.99}],"totalAmount":25.97,"currency":"USD"}`
	for name, c := range map[string]struct{ contentType, body string }{
		"protobuf":               {"", string(wire(t, order()))},
		"protobuf, said so":      {"application/protobuf", string(wire(t, order()))},
		"JSON in both spellings": {"", json},
		"JSON after white space": {"", " \r\n\t" + json},
		"JSON, said so":          {"Application/JSON; charset=utf-8", json},
		"another content type":   {"text/plain", json},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := messages.DecodeCreated(c.contentType, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, order()) {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestDecodeCreatedErrors(t *testing.T) {
	for name, c := range map[string]struct{ contentType, body, says string }{
		"nothing":              {"", "", "empty"},
		"a typing mistake":     {"", `{"order_id":"o-1","custmer_id":"c"}`, `"custmer_id"`},
		"broken JSON":          {"", `{"order_id":`, "JSON OrderCreated"},
		"a JSON array":         {"application/json", `[]`, "JSON OrderCreated"},
		"half a protobuf":      {"", string(wire(t, order())[:20]), "protobuf OrderCreated"},
		"JSON called protobuf": {"application/x-protobuf", `{"order_id":"o-1"}`, "protobuf OrderCreated"},
		"invalid UTF-8":        {"", "\x0a\x02\xff\xfe", "UTF-8"},
		"too much":             {"", strings.Repeat("x", messages.MaxBody+1), "262145 bytes"},
		"a quantity too large": {"", `{"items":[{"quantity":3000000000}]}`, "3000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := messages.DecodeCreated(c.contentType, []byte(c.body))
			if !errors.Is(err, messages.ErrBody) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %s", err, c.says)
			}
			if strings.ContainsRune(err.Error(), '\u00a0') {
				t.Fatalf("error text contains the library's random spaces: %q", err)
			}
		})
	}
}

func TestUnknownProtobufFieldsAreKept(t *testing.T) {
	body := append(wire(t, order()), 0xa2, 0x06, 0x03, 'n', 'e', 'w') // field 100
	got, err := messages.DecodeCreated("", body)
	if err != nil {
		t.Fatal(err)
	}
	if string(wire(t, got)) != string(body) {
		t.Fatal("the unknown field is lost")
	}
}

func TestDecodeOtherTypes(t *testing.T) {
	if m, err := messages.DecodeCancel("", nil); err != nil || m.Reason != "" {
		t.Errorf("an empty cancel: %v, %v", m, err)
	}
	if m, err := messages.DecodeCancel("", []byte(`{"reason":"changed my mind"}`)); err != nil || m.Reason != "changed my mind" {
		t.Errorf("a cancel: %v, %v", m, err)
	}
	if _, err := messages.DecodeRetry("", nil); err != nil {
		t.Error(err)
	}
	if _, err := messages.DecodeSkip("application/json", []byte(" {} ")); err != nil {
		t.Error(err)
	}
	skip, err := messages.DecodeSkip("", []byte(`{"step": "pay", "direction": "undo"}`))
	if err != nil || skip.GetStep() != "pay" || skip.GetDirection() != messages.Undo.Label() {
		t.Errorf("got %v and error %v, want the undo of pay", skip, err)
	}
	if _, err := messages.DecodeSkip("", []byte(`{"direction": "both"}`)); !errors.Is(err, messages.ErrBody) {
		t.Errorf("direction both: error %v, want one of the body", err)
	}
	m, err := messages.DecodeSignal("", []byte(`{"name":"paid","data":{"ref":[1,null,"x"]}}`))
	if err != nil || m.Name != "paid" || m.Data != `{"ref":[1,null,"x"]}` {
		t.Errorf("a signal: %v, %v", m, err)
	}
	if _, err := messages.DecodeSignal("", nil); !errors.Is(err, messages.ErrBody) {
		t.Errorf("a signal without a name: %v", err)
	}
}

// The encoding of a string of 123 bytes begins with line feed and brace, as JSON may.
func TestProtobufThatLooksLikeJSON(t *testing.T) {
	reason := strings.Repeat("r", '{')
	m, err := messages.DecodeCancel("", wire(t, &messages.CancelOrder{Reason: reason}))
	if err != nil || m.Reason != reason {
		t.Fatalf("got %v, %v", m, err)
	}
}

func TestSignalDataIsJSON(t *testing.T) {
	for name, data := range map[string]string{
		"not a number": "NaN",
		"two values":   "1 2",
		"too deep":     strings.Repeat("[", 65) + strings.Repeat("]", 65),
		"white space":  " ",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := messages.DecodeSignal("", wire(t, &messages.SignalOrder{Name: "s", Data: data})); !errors.Is(err, messages.ErrBody) {
				t.Fatalf("got %v, %v", m, err)
			}
		})
	}
	if _, err := messages.DecodeSignal("", []byte(`{"name":"s","data":`+strings.Repeat("[", 50_000))); !errors.Is(err, messages.ErrBody) {
		t.Fatalf("got %v", err)
	}
}

func FuzzDecodeCreated(f *testing.F) {
	f.Add("", wire(f, order()))
	f.Add("application/json", []byte(`{"order_id":"o","items":[{"quantity":1,"unit_price":1e300}],"total_amount":"NaN"}`))
	f.Add("", []byte("\n{{}"))
	f.Add("application/protobuf", []byte{})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		o, err := messages.DecodeCreated(contentType, body)
		if err != nil {
			if !errors.Is(err, messages.ErrBody) {
				t.Fatalf("error %v does not wrap ErrBody", err)
			}
			return
		}
		again, err := messages.DecodeCreated("application/protobuf", append(wire(t, o), 0x7a, 0)) // an unknown field: never empty
		if err != nil {
			t.Fatalf("encoding of a decoded message is refused: %v", err)
		}
		again, err = messages.DecodeCreated("application/protobuf", wire(t, again))
		if err != nil {
			t.Fatal(err)
		}
		again.ProtoReflect().SetUnknown(o.ProtoReflect().GetUnknown())
		if !proto.Equal(o, again) {
			t.Fatalf("%v became %v", o, again)
		}
		messages.Normalize(o)
		id := messages.OrderID(o.OrderId)
		if messages.Validate(o, id) != nil {
			return
		}
		text, err := messages.MarshalJSON(o)
		if err != nil {
			t.Fatal(err)
		}
		for form, body := range map[string][]byte{"application/protobuf": wire(t, o), "application/json": text} {
			if len(body) == 0 || len(body) > messages.MaxBody {
				continue
			}
			back, err := messages.DecodeCreated(form, body)
			if err != nil {
				t.Fatal(err)
			}
			if form == "application/json" { // JSON has no unknown fields
				back.ProtoReflect().SetUnknown(o.ProtoReflect().GetUnknown())
				for i, item := range back.Items {
					item.ProtoReflect().SetUnknown(o.Items[i].ProtoReflect().GetUnknown())
				}
			}
			if err := messages.Validate(back, id); err != nil {
				t.Fatalf("a valid order became invalid: %v", err)
			}
			if !messages.SameOrder(o, back) {
				t.Fatalf("%v became %v", o, back)
			}
		}
	})
}

func FuzzDecodeSignal(f *testing.F) {
	f.Add("", []byte(`{"name":"s","data":{"a":[1,true,null,"x"]}}`))
	f.Add("", wire(f, &messages.SignalOrder{Name: "s", Data: "1"}))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := messages.DecodeSignal(contentType, body)
		if err != nil {
			return
		}
		if _, err := messages.DecodeSignal("application/protobuf", wire(t, m)); err != nil && len(body) < messages.MaxBody/4 {
			t.Fatalf("encoding of a decoded message is refused: %v", err)
		}
		if _, err := messages.MarshalJSON(m); err != nil {
			t.Fatalf("signal data cannot be encoded as JSON: %v", err)
		}
	})
}

func BenchmarkDecodeAndValidate(b *testing.B) {
	body := wire(b, order())
	text, err := messages.MarshalJSON(order())
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{"protobuf": body, "json": text} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, err := messages.DecodeCreated("", body)
				if err != nil {
					b.Fatal(err)
				}
				messages.Normalize(o)
				if err := messages.Validate(o, "o-1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
