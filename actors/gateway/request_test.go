package gateway_test

import (
	"encoding/hex"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

var update = flag.Bool("update", false, "write the bodies of requests to testdata: a service then sees other bytes under a key it knows")

// wholeCall is a call with a value in every field.
func wholeCall(d messages.Direction, e messages.Encoding) *gateway.Call {
	c := &gateway.Call{
		Step: &messages.Step{
			Name: "ship", Do: "http://shipping.example/ship", Undo: "http://shipping.example/ship", Timeout: durationpb.New(natstest.Patience), Encoding: e,
		},
		Direction: d,
		Request: &messages.StepRequest{
			OrderId: "o-1042", Step: "ship", Direction: d.Label(), IdempotencyKey: "o-1042/ship/" + d.Label(),
			Order: &messages.OrderCreated{
				OrderId: "o-1042", CustomerId: "Zoë \"Z\" <z@example.org>\n\u2028", TotalAmount: 1234.5, Currency: "EUR", Items: []*messages.OrderItem{
					{ProductId: "sku-1", Quantity: 3, UnitPrice: 0.1}, {ProductId: "sku-2", Quantity: 1, UnitPrice: 1e-7}, {ProductId: "sku-3", Quantity: 1, UnitPrice: 2e21},
				},
			},
			Results: map[string]string{
				"reserve":   `{"reservation":9007199254740993,"amounts":[1.10,1e400,-0],"b":"\u00e9é<&>","a":{},"a":[]}`,
				"authorize": `"a-1"`,
				"check":     `null`,
			},
		},
		Attempt: 12, FencingToken: 1<<64 - 1,
		Traceparent: traceparent, Tracestate: "vendor=1",
	}
	if d == messages.Undo {
		c.Request.Results = map[string]string{"ship": `{"shipment":"s-1","weight":2.50}`}
	}
	return c
}

// TestRequestBytes: a service may compare the body of a key with the one it has seen, so the bytes never change; headers
// have what differs between attempts. They are the same over HTTP and NATS.
func TestRequestBytes(t *testing.T) {
	want := map[string]string{
		"Idempotency-Key": "", "Orderly-Attempt": "12", "Orderly-Fencing-Token": "18446744073709551615",
		"traceparent": traceparent, "tracestate": "vendor=1",
	}
	check := func(t *testing.T, c *gateway.Call, header func(string) string, body []byte) {
		t.Helper()
		want["Idempotency-Key"] = c.Request.IdempotencyKey
		for key, value := range want {
			if got := header(key); got != value {
				t.Errorf("header %s is %q, want %q", key, got, value)
			}
		}
		file, text := filepath.Join("testdata", "request_"+c.Direction.Label()+".json"), string(body)+"\n"
		if c.Step.Encoding == messages.Encoding_ENCODING_PROTOBUF {
			file, text = strings.TrimSuffix(file, "json")+"pb.txt", hex.Dump(body)
		}
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(golden) {
			t.Errorf("the body is\n%s\nwant, from %s,\n%s", text, file, golden)
		}
	}
	nc := connect(t)
	requests := make(chan *nats.Msg, 1)
	if _, err := nc.Subscribe("ship", func(m *nats.Msg) {
		requests <- m
		_ = m.Respond([]byte(`{"done":{}}`))
	}); err != nil {
		t.Fatal(err)
	}
	for _, direction := range []messages.Direction{messages.Do, messages.Undo} {
		for _, encoding := range []messages.Encoding{messages.Encoding_ENCODING_JSON, messages.Encoding_ENCODING_PROTOBUF} {
			t.Run(direction.Label()+"/"+encoding.String(), func(t *testing.T) {
				c := wholeCall(direction, encoding)
				set := newSet(t, nc, gateway.Config{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					check(t, c, r.Header.Get, body)
					return respond(http.StatusOK, nil, ""), err
				})})
				if _, err := callAndWait(t, set, c); err != nil {
					t.Fatal(err)
				}
				c = wholeCall(direction, encoding)
				c.Step.Do, c.Step.Undo = "nats://ship", "nats://ship"
				if _, err := callAndWait(t, set, c); err != nil {
					t.Fatal(err)
				}
				m := <-requests
				check(t, c, m.Header.Get, m.Data)
			})
		}
	}
}
