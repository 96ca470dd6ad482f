package messages_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/messages"
)

// TestMarshalJSON: the bytes are fixed.
func TestMarshalJSON(t *testing.T) {
	for want, m := range map[string]proto.Message{
		`{}`: &messages.OrderCreated{},
		`{"order_id":"o-1","items":[{"product_id":"a\"\\\b\f\n\r\t\u0001é<>` + "\u2028" + `","quantity":-3,"unit_price":0.1},{},{"unit_price":1e+21},` +
			`{"unit_price":1e-7},{"unit_price":-0}],"total_amount":"NaN"}`: &messages.OrderCreated{
			OrderId: "o-1", TotalAmount: math.NaN(), Items: []*messages.OrderItem{
				{ProductId: "a\"\\\b\f\n\r\t\x01é<>\u2028", Quantity: -3, UnitPrice: 0.1}, {}, {UnitPrice: 1e21}, {UnitPrice: 1e-7},
				{UnitPrice: math.Copysign(0, -1)},
			},
		},
		`{"name":"s","data":{"b":[9007199254740993,1.10,1e400,-0,"\u0041é"],"a":null,"a":1}}`: &messages.SignalOrder{
			Name: "s", Data: `{"b":[9007199254740993,1.10,1e400,-0,"\u0041é"],"a":null,"a":1}`,
		},
		`{"results":{"":1,"a":null,"b\"":[]}}`: &messages.StepRequest{Results: map[string]string{`b"`: `[]`, "": "1", "a": "null"}},
		`{"done":{"data":" "}}`:                &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: `" "`}}},
		`{"done":{}}`:                          &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{}}},
		`{"step":"pay","direction":"DIRECTION_UNDO","attempt":3,"kind":99,"retry_at":"2026-01-02T03:04:05.600Z","in_doubt":true}`: &messages.StepFailed{
			Step: "pay", Direction: messages.Undo, Attempt: 3, Kind: 99, RetryAt: &timestamppb.Timestamp{Seconds: 1767323045, Nanos: 6e8}, InDoubt: true,
		},
		`{"timeout":"1.500s","retry":{"max":"-2s"}}`: &messages.Step{
			Timeout: &durationpb.Duration{Seconds: 1, Nanos: 5e8}, Retry: &messages.Retry{Max: &durationpb.Duration{Seconds: -2}},
		},
		`{"plan_digest":"/wA=","accepted":"18446744073709551615"}`: &messages.Snapshot{PlanDigest: []byte{255, 0}, Accepted: math.MaxUint64},
	} {
		got, err := messages.AppendJSON([]byte("before "), m)
		if err != nil || string(got) != "before "+want {
			t.Errorf("got  %s, %v\nwant before %s", got, err, want)
		}
	}
	for want, m := range map[string]proto.Message{
		"field customer_id":       &messages.OrderCreated{CustomerId: "\xff"},
		"field data: is not JSON": &messages.SignalOrder{Data: "1 2"},
		`field data: is not`:      &messages.SignalOrder{Data: `{"a":tru}`},
		"field results":           &messages.StepRequest{Results: map[string]string{"a": ""}},
		"field retry_at":          &messages.StepFailed{RetryAt: &timestamppb.Timestamp{Nanos: -1}},
	} {
		if got, err := messages.MarshalJSON(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %s, %v: want an error with %s", got, err, want)
		}
	}
}

// messageTypes are all message types of the package.
func messageTypes() []protoreflect.MessageType {
	var all []protoreflect.MessageType
	for _, file := range []protoreflect.FileDescriptor{
		messages.File_orderly_v1_journal_proto, messages.File_orderly_v1_order_proto, messages.File_orderly_v1_plan_proto, messages.File_orderly_v1_step_proto,
	} {
		for i := range file.Messages().Len() {
			all = append(all, typeOf(file.Messages().Get(i)))
		}
	}
	return all
}

// TestJSONFormOfEveryMessage: it is the one of protobuf but for JSON text, and decoding gives the message.
func TestJSONFormOfEveryMessage(t *testing.T) {
	for _, kind := range messageTypes() {
		t.Run(string(kind.Descriptor().Name()), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := kind.New()
				fill(t, m, true)
				text, err := messages.MarshalJSON(m.Interface())
				if err != nil {
					t.Fatal(err)
				}
				for _, decode := range []func([]byte, proto.Message) error{messages.UnmarshalJSON, messages.UnmarshalForeignJSON} {
					back := kind.New()
					if err := decode(text, back.Interface()); err != nil || !proto.Equal(back.Interface(), m.Interface()) {
						t.Fatalf("%v became %v by way of %s: %v", m, back, text, err)
					}
				}
				m = kind.New()
				fill(t, m, false)
				got, err := messages.MarshalJSON(m.Interface())
				if err != nil {
					t.Fatal(err)
				}
				want, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(valueOf(t, got), valueOf(t, want)) {
					t.Fatalf("got %s, want the value of %s", got, want)
				}
			})
		})
	}
}

// valueOf decodes JSON text with the digits of its numbers.
func valueOf(t interface{ Fatal(...any) }, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestUnmarshalJSON(t *testing.T) {
	for text, want := range map[string]string{
		"{\n \"name\" : \"s\", \"data\" : { \"a\" : [ 1.10 , \"\\ud800 \xff\" ] } }": `{"a":[1.10,"\ufffd ` + "\ufffd" + `"]}`,
		`{"d\u0061ta":9007199254740993}`:                                             "9007199254740993",
		`{"data":null}`:                                                              "null",
		`{"data":"\"{"}`:                                                             `"\"{"`,
		`{"data":{"data":{"name":1},"name":2,"x":3,"x":4}}`:                          `{"data":{"name":1},"name":2,"x":3,"x":4}`,
		`{}`: "",
	} {
		m := &messages.SignalOrder{}
		if err := messages.UnmarshalJSON([]byte(text), m); err != nil || m.Data != want {
			t.Errorf("%s: got %s, %v: want %s", text, m.Data, err, want)
		}
	}
	for text, want := range map[string]string{
		``:                       "unexpected end of JSON",
		`{"data":1} 2`:           `unexpected "2" at byte 11`,
		`{"data":1,}`:            `unexpected "}" at byte 10`,
		`{"data":`:               "unexpected end",
		`{"data":tru}`:           "unexpected \"tru}\"",
		`{"data":1,"data":2}`:    "duplicate",
		`{"name":"s","other":1}`: `unknown field "other"`,
		`{"name":"\ud800"}`:      "",
		"{\"name\":\"\xff\"}":    "",
		"[]":                     "unexpected token",
		"null":                   "unexpected token",
		`{"data":` + strings.Repeat("[", 1_000_000): "too deep",
		strings.Repeat(`{"x":`, 1_000_000):          "too deep",
	} {
		if err := messages.UnmarshalJSON([]byte(text), &messages.SignalOrder{}); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "\u00a0", " "), want) {
			t.Errorf("%.40s: got error %v, want %q", text, err, want)
		}
	}

	m := &messages.StepReply{}
	if err := messages.UnmarshalForeignJSON([]byte("{\"rejected\":{\"reason\":\"\\udfff\xfc\",\"other\":[{}]}}"), m); err != nil || m.GetRejected().GetReason() != "\ufffd\ufffd" {
		t.Errorf("got %v, %v: want the rejection, its reason repaired", m, err)
	}
	r := &messages.StepRequest{}
	if err := messages.UnmarshalJSON([]byte(`{"orderId":"o-1","order":{},"results":{"a":{"x":1},"b":-0}}`), r); err != nil ||
		r.OrderId != "o-1" || len(r.Results) != 2 || r.Results["a"] != `{"x":1}` || r.Results["b"] != "-0" {
		t.Errorf("got %v, %v", r, err)
	}
}

// fill sets fields at random.
func fill(t *rapid.T, m protoreflect.Message, texts bool) {
	switch of := m.Interface().(type) {
	case *timestamppb.Timestamp:
		of.Seconds, of.Nanos = rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.Int32Range(0, 999999999).Draw(t, "nanos")
		return
	case *durationpb.Duration:
		of.Seconds, of.Nanos = rapid.Int64Range(0, 315576000000).Draw(t, "seconds"), rapid.Int32Range(0, 999999999).Draw(t, "nanos")
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		text := proto.GetExtension(d.Options(), messages.E_Json).(bool)
		if text && !texts || rapid.Bool().Draw(t, "absent") {
			continue
		}
		value := func(d protoreflect.FieldDescriptor, into func() protoreflect.Value) protoreflect.Value {
			if d.Message() != nil {
				v := into()
				fill(t, v.Message(), texts)
				return v
			}
			return scalar(t, d, text)
		}
		switch n := rapid.IntRange(0, 2).Draw(t, "elements"); {
		case d.IsList():
			list := m.Mutable(d).List()
			for range n {
				list.Append(value(d, list.NewElement))
			}
		case d.IsMap():
			of := m.Mutable(d).Map()
			for range n {
				of.Set(scalar(t, d.MapKey(), false).MapKey(), value(d.MapValue(), of.NewValue))
			}
		default:
			m.Set(d, value(d, func() protoreflect.Value { return m.NewField(d) }))
		}
	}
}

func scalar(t *rapid.T, d protoreflect.FieldDescriptor, text bool) protoreflect.Value {
	switch d.Kind() {
	case protoreflect.StringKind:
		if text {
			return protoreflect.ValueOfString(rapid.SampledFrom([]string{"1.10", `{"a":[null,"\"\\\u0000é"]}`, `""`, "-0", "[]"}).Draw(t, "data"))
		}
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), 1e-7, 1e-6, 1e21, 123e-12})).Draw(t, "double"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(0, 12).Draw(t, "enum")))
	}
	t.Fatalf("field %s has the type %s, which this test does not know", d.FullName(), d.Kind())
	return protoreflect.Value{}
}

// typeOf is the type that is generated for the descriptor.
func typeOf(d protoreflect.MessageDescriptor) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	return t
}

// TestOrderInJSONIsBounded: Validate need not write most orders as JSON to know that they are not too large.
func TestOrderInJSONIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &messages.OrderCreated{}
		fill(t, o.ProtoReflect(), true)
		text, err := messages.MarshalJSON(o)
		if err != nil {
			t.Fatal(err)
		}
		if bound := 6*proto.Size(o) + 100; len(text) > bound {
			t.Fatalf("%d bytes in JSON, more than %d: %s", len(text), bound, text)
		}
	})
}
