package messages_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/orderly-engine/orderly/messages"
)

// BenchmarkStepRequestJSON encodes a request of an order of 3 and of 100 items. Protojson, as a measure, writes the results as
// strings.
func BenchmarkStepRequestJSON(b *testing.B) {
	for _, items := range []int{3, 100} {
		o := &messages.OrderCreated{OrderId: "o-1042", CustomerId: "c-7", TotalAmount: 57, Currency: "USD"}
		for i := range items {
			o.Items = append(o.Items, &messages.OrderItem{ProductId: fmt.Sprint("sku-", i), Quantity: 2, UnitPrice: 9.5})
		}
		r := &messages.StepRequest{
			OrderId: "o-1042", Step: "create_shipment", Direction: "do", IdempotencyKey: "o-1042/create_shipment/do", Order: o,
			Results: map[string]string{
				"reserve_inventory": `{"pieces":6,"reservation":"r-1a2b3c4d"}`,
				"authorize_payment": `{"amount":57,"authorization":"a-1a2b3c4d","currency":"USD"}`,
			},
		}
		for name, encode := range map[string]func([]byte) ([]byte, error){
			"orderly": func(buffer []byte) ([]byte, error) { return messages.AppendJSON(buffer, r) },
			"protojson": func(buffer []byte) ([]byte, error) {
				return protojson.MarshalOptions{UseProtoNames: true}.MarshalAppend(buffer, r)
			},
		} {
			b.Run(fmt.Sprintf("%s/items=%d", name, items), func(b *testing.B) {
				var buffer []byte
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if buffer, err = encode(buffer[:0]); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(len(buffer)))
			})
		}
	}
}
