package gateway_test

import (
	"context"
	"net/http"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// TestDataOfAnAnswer: in every encoding the data are kept as JSON text, character by character but for white space and text that
// is not Unicode.
func TestDataOfAnAnswer(t *testing.T) {
	for data, want := range map[string]string{
		` {"id" : 9007199254740993, "amounts": [1.10, 1e400, -0], "b":1,"a":2,"a":3} `: `{"id":9007199254740993,"amounts":[1.10,1e400,-0],"b":1,"a":2,"a":3}`,
		`"\ud83d \u0041"`: `"\ufffd \u0041"`,
		`null`:            `null`,
	} {
		reply := done(data)
		binary, err := proto.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		answers := map[string]gateway.Config{
			"func":     {Functions: gateway.Functions{"wrap": func(context.Context, *gateway.Call) (*messages.StepReply, error) { return reply, nil }}},
			"json":     answering("application/json", `{"done":{"data":`+data+`}}`),
			"protobuf": answering("application/protobuf", string(binary)),
		}
		for encoding, cfg := range answers {
			target := "http://packing.example/wrap"
			if encoding == "func" {
				target = "func:wrap"
			}
			got, err := callAndWait(t, newSet(t, nil, cfg), call(target))
			if err != nil || got.GetDone().GetData() != want {
				t.Errorf("%s: %s became %s, %v: want %s", encoding, data, got, err, want)
			}
		}
	}
	got, err := callAndWait(t, newSet(t, nil, answering("application/json", "{\"rejected\":{\"code\":\"no\",\"reason\":\"zu sp\xe4t\"}}")), call("http://packing.example/wrap"))
	if err != nil || got.GetRejected().GetCode() != "no" {
		t.Errorf("got %s, %v: want the rejection, although its reason is not UTF-8", got, err)
	}
}

// answering is a transport that gives that answer.
func answering(contentType, body string) gateway.Config {
	return gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(http.StatusOK, map[string]string{"Content-Type": contentType}, body), nil
	})}
}
