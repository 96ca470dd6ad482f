package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// FuzzReply gives any answer over HTTP and NATS. A status means the same on both. A step is done, rejected or pending only if the
// answer says so; and whatever the service sends, the text of a failure is one short line.
func FuzzReply(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", `{"done":{"data":{"box":"b-1"}}}`, `{"rejected":{"code":"x","reason":"y"}}`, `{"rejectd":{}}`, "\ufeff{\"done\":{}}",
		`{"pending":{"signal":"s","deadline":"2030-01-01T00:00:00Z"}}`, `{"retry":{"after":"-5s"}}`, `{"detail":"no"}`, "<html>",
		`{"done":{},"rejected":{}}`, `{"stream":"S","seq":1}`, `{"error":{"code":400,"err_code":10054,"description":"d"},"stream":"S","seq":0}`,
		`{"done":{"data":"` + string(bytes.Repeat([]byte("\\u00fc"), 400)) + `"}}`, `{"rejected":{"reason":"` + string(bytes.Repeat([]byte("ü"), 700)),
		"\x0a\x00", "\x12\x03\x0a\x01x", "\x0a\x00\x12\x00", "\x12\xff\x7f\x0a\x01x\x12\xff\x7e" + string(bytes.Repeat([]byte("ü"), 700)),
	} {
		for _, status := range []int{0, 200, 202, 206, 302, 404, 409, 422, 429, 503} {
			f.Add(status, "", "application/json", "5", "/x?s3cret", "", []byte(body), false)
			f.Add(status, "x", "", "Sat, 01 Jan 2000 00:01:00 GMT", "https://u:s3cret@h/", "reason\n", []byte(body), true)
		}
	}
	for _, value := range []string{"1", "null", "", "[", ` [1e400, "\ud800"] `} {
		f.Add(200, "", "application/protobuf", "", "", "", []byte(large(done(value))), true)
	}
	f.Add(0, "0", "", "", "", "", []byte("0"), true)
	var answer *http.Response
	set := newSet(f, nil, gateway.Config{MaxReply: 1 << 10, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return answer, nil
	})})
	f.Fuzz(func(t *testing.T, status int, code, contentType, retryAfter, location, reason string, body []byte, asksProtobuf bool) {
		overHTTP, overNATS := call("http://packing.example/wrap"), call("nats://wrap")
		if asksProtobuf {
			overHTTP.Step.Encoding, overNATS.Step.Encoding = messages.Encoding_ENCODING_PROTOBUF, messages.Encoding_ENCODING_PROTOBUF
		}
		//nolint:bodyclose // the gateway closes it
		answer = respond(status, map[string]string{"Content-Type": contentType, "Retry-After": retryAfter, "Location": location}, string(body))
		reply, err := callAndWait(t, set, overHTTP)
		if status != 0 {
			checkEnd(t, status, body, reply, err)
		}

		header := nats.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}, "Nats-Service-Error": {reason}}
		if status != 0 {
			code = strconv.Itoa(status)
		}
		if code != "" {
			header.Set("Nats-Service-Error-Code", code)
		}
		natsStatus := status
		if status == 0 && (code != "" || reason != "") {
			natsStatus = -1
			if n, err := strconv.ParseUint(code, 10, 16); err == nil && n >= 100 && n <= 599 {
				natsStatus = int(n)
			}
		}
		natsReply, natsErr := set.ReadNATS(overNATS, &nats.Msg{Header: header, Data: body})
		checkEnd(t, natsStatus, body, natsReply, natsErr)
		if status >= 100 && status <= 599 && meaning(reply, err) != meaning(natsReply, natsErr) {
			t.Fatalf("%d means %s (%v) over HTTP and %s (%v) over NATS", status, meaning(reply, err), err, meaning(natsReply, natsErr), natsErr)
		}
	})
}

func checkEnd(t *testing.T, status int, body []byte, reply *messages.StepReply, err error) {
	t.Helper()
	if err != nil {
		checkFailureText(t, status, body, err)
		return
	}
	if _, err := proto.Marshal(reply); err != nil {
		t.Fatalf("reply cannot be journaled: %v", err)
	}
	if _, err := messages.MarshalJSON(reply); err != nil {
		t.Fatalf("reply cannot be encoded as JSON: %v", err)
	}
	got := result(reply)
	empty := len(body) == 0 && status >= 200 && status <= 299
	switch {
	case got == "done" && empty && status != 202, got == "pending" && empty && status == 202:
	case !slices.Contains(results(body), got):
		t.Fatalf("%d %q is %s", status, body, got)
	}
	if after := reply.GetRetry().GetAfter().AsDuration(); after < 0 || after > 24*time.Hour {
		t.Fatalf("retry after %s", after)
	}
}

func checkFailureText(t *testing.T, status int, body []byte, err error) {
	t.Helper()
	f := requireFailure(t, err, delivery.AsFailure(err).Kind)
	text := err.Error()
	if !utf8.ValidString(text) || len(text) > 4<<10 || slices.ContainsFunc([]rune(text), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("text of %d bytes: %q", len(text), text)
	}
	if f.RetryAfter < 0 || f.RetryAfter > 24*time.Hour {
		t.Fatalf("RetryAfter %s", f.RetryAfter)
	}
	success := status == 0 || status >= 200 && status <= 299
	switch f.Kind {
	case messages.Rejected:
		if status != 402 && status != 422 || f.Code != strconv.Itoa(status) || f.InDoubt {
			t.Fatalf("%d is a rejection with code %s, in doubt %t", status, f.Code, f.InDoubt)
		}
	case messages.Unreadable:
		if !f.InDoubt || !success && !f.Done || f.Done && !bytes.Contains(body, []byte("done")) && body[0] != '\n' && !slices.Contains(results(body), "done") {
			t.Fatalf("%d %q is unreadable, done %t, in doubt %t", status, body, f.Done, f.InDoubt)
		}
	case messages.Setup:
		if (status < 300 || status > 499) && (status != 0 || !f.InDoubt) {
			t.Fatalf("%d is a fault of the set-up, in doubt %t", status, f.InDoubt)
		}
	case messages.Transient:
		if success {
			t.Fatalf("%d %q is transient", status, body)
		}
	default:
		t.Fatalf("%d is %v", status, err)
	}
}

// results returns the results that a body has as a StepReply, in either encoding, or in its beginning.
func results(body []byte) (names []string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &fields) == nil {
		for name, value := range fields {
			if string(value) != "null" {
				names = append(names, name)
			}
		}
		return names
	}
	if r := (&messages.StepReply{}); proto.Unmarshal(body, r) == nil {
		return []string{result(r)}
	}
	// The texts of a large one are clipped: its name, or its tag, is there.
	for name, tag := range map[string]byte{"rejected": 2<<3 | 2, "pending": 3<<3 | 2, "retry": 4<<3 | 2} {
		if len(body) > 1<<10 && (bytes.Contains(body, []byte(name)) || bytes.IndexByte(body, tag) >= 0) {
			names = append(names, name)
		}
	}
	return names
}
