package gateway_test

import (
	"net/http"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// FuzzReply checks that any response ends the call with a reply that can be journaled and encoded as JSON, or with a Transient
// failure whose text is valid UTF-8.
func FuzzReply(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", `{"done":{"data":{"box":"b-1"}}}`, `{"rejected":{"code":"x","reason":"y"}}`,
		`{"pending":{"signal":"s","deadline":"2030-01-01T00:00:00Z"}}`, `{"retry":{"after":"-5s"}}`, `{"detail":"no"}`, "<html>",
	} {
		for _, status := range []int{200, 202, 409, 429, 503} {
			f.Add(status, "application/json", "5", []byte(body))
		}
	}
	for _, value := range []string{"1", "null", "", "[", ` [1e400, "\ud800"] `} {
		body, err := proto.Marshal(&messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: value}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(200, "application/protobuf", "", body)
	}
	var status int
	var header map[string]string
	var body []byte
	set := newSet(f, nil, gateway.Config{MaxReply: 64 << 10, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(status, header, string(body)), nil
	})})
	f.Fuzz(func(t *testing.T, code int, contentType, retryAfter string, answer []byte) {
		status, header, body = code, map[string]string{"Content-Type": contentType, "Retry-After": retryAfter}, answer
		reply, err := callAndWait(t, set, call("http://packing.example/wrap"))
		if err != nil {
			if f := requireFailure(t, err, messages.Transient); f.RetryAfter < 0 || !utf8.ValidString(err.Error()) {
				t.Fatalf("After %s, error %q", f.RetryAfter, err)
			}
			return
		}
		if reply.GetResult() == nil {
			t.Fatal("reply has no result")
		}
		if _, err := proto.Marshal(reply); err != nil {
			t.Fatalf("reply cannot be journaled: %v", err)
		}
		if _, err := messages.MarshalJSON(reply); err != nil {
			t.Fatalf("reply cannot be encoded as JSON: %v", err)
		}
		if after := reply.GetRetry().GetAfter().AsDuration(); after < 0 {
			t.Fatalf("retry after %s", after)
		}
	})
}
