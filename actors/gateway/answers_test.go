package gateway_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// answer is one answer of a service. Every one is given over HTTP and over NATS, as Nats-Service-Error-Code, and must mean the
// same. Without a status it is given over NATS only.
type answer struct {
	name   string
	status int
	header map[string]string
	body   string
	// want is the result of the reply, or the failure: its kind, followed by "in doubt" and "done" if it says so.
	want string
	// words are in the text of the failure, or in the reply.
	words string
}

const (
	transient        = "transient"
	transientInDoubt = "transient in doubt"
	setup            = "setup"
	setupInDoubt     = "setup in doubt"
	// refused is a business no by status alone.
	refused    = "refused"
	unreadable = "unreadable in doubt"
	// dropped is a step that is done, without its data.
	dropped = "unreadable in doubt done"
)

const answerLimit = 300 << 10

var (
	asHTML     = map[string]string{"Content-Type": "text/html; charset=utf-8"}
	asText     = map[string]string{"Content-Type": "text/plain"}
	asProtobuf = map[string]string{"Content-Type": "application/protobuf"}
)

var answerCases = []answer{
	// Empty answers.
	{name: "empty 200", status: 200, want: "done"},
	{name: "empty 201", status: 201, want: "done"},
	{name: "empty 202", status: 202, want: "pending", words: "wrap"},
	{name: "empty 203", status: 203, want: "done"},
	{name: "empty 204", status: 204, want: "done"},
	{name: "empty 205", status: 205, want: "done"},
	{name: "empty 206: a part of an answer", status: 206, want: unreadable, words: "answered 206"},
	{name: "empty 226: a part of an answer", status: 226, want: unreadable, words: "answered 226"},
	{name: "empty without a status", want: unreadable, words: "empty"},

	// A StepReply beats the status.
	{name: "done 200", status: 200, body: `{"done":{"data":{"box":"b-1"}}}`, want: "done", words: "b-1"},
	{name: "done without a status", body: `{"done":{"data":{"box":"b-1"}}}`, want: "done", words: "b-1"},
	{name: "done 202", status: 202, body: `{"done":{}}`, want: "done"},
	{name: "done 206", status: 206, body: `{"done":{}}`, want: "done"},
	{name: "done 302", status: 302, body: `{"done":{}}`, want: "done"},
	{name: "done 404", status: 404, body: `{"done":{}}`, want: "done"},
	{name: "done 409", status: 409, body: `{"done":{}}`, want: "done"},
	{name: "done 422", status: 422, body: `{"done":{}}`, want: "done"},
	{name: "done 500", status: 500, body: `{"done":{}}`, want: "done"},
	{name: "rejected 200", status: 200, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
	{name: "rejected 404", status: 404, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
	{name: "rejected 409", status: 409, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
	{name: "rejected 422", status: 422, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
	{name: "rejected 503", status: 503, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
	{name: "pending 200", status: 200, body: `{"pending":{"signal":"wrapped"}}`, want: "pending", words: "wrapped"},
	{name: "pending 409", status: 409, body: `{"pending":{"signal":"wrapped"}}`, want: "pending", words: "wrapped"},
	{name: "pending without a signal", status: 200, body: `{"pending":{}}`, want: "pending", words: "wrap"},
	{name: "retry 200", status: 200, body: `{"retry":{"after":"2s","reason":"busy"}}`, want: "retry", words: "busy"},
	{name: "retry 422", status: 422, body: `{"retry":{"after":"2s"}}`, want: "retry", words: "seconds:2"},
	{name: "retry 503", status: 503, body: `{"retry":{"after":"90s"}}`, want: "retry", words: "seconds:90"},
	{name: "retry earlier than Retry-After", status: 503, header: map[string]string{"Retry-After": "7"}, body: `{"retry":{"after":"2s"}}`, want: "retry", words: "seconds:7"},
	{name: "retry later than Retry-After", status: 503, header: map[string]string{"Retry-After": "2"}, body: `{"retry":{"after":"7s"}}`, want: "retry", words: "seconds:7"},

	// What counts as a StepReply.
	{name: "unknown fields", status: 200, body: `{"done":{"data":{"box":"b-1"},"size":3},"version":2}`, want: "done", words: "b-1"},
	{name: "unknown fields 500", status: 500, body: `{"done":{},"version":2}`, want: "done"},
	{name: "another result is null", status: 200, body: `{"done":{},"rejected":null}`, want: "done"},
	{name: "white space around it", status: 200, body: " \r\n{\"done\":{}}\n", want: "done"},
	{name: "byte order mark", status: 200, body: "\ufeff{\"done\":{}}", want: "done"},
	{name: "as text/html", status: 200, header: asHTML, body: `{"done":{}}`, want: "done"},
	{name: "as text/plain", status: 409, header: asText, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected"},
	{name: "as problem+json", status: 500, header: map[string]string{"Content-Type": "application/problem+json"}, body: `{"done":{}}`, want: "done"},
	{name: "in protobuf", status: 200, header: asProtobuf, body: "\x0a\x00", want: "done"},
	{name: "in protobuf 500", status: 500, header: asProtobuf, body: "\x0a\x00", want: "done"},
	{name: "in protobuf with the name of the message", status: 200, header: map[string]string{"Content-Type": `application/x-protobuf; messageType="orderly.v1.StepReply"`}, body: "\x0a\x00", want: "done"},
	{name: "in protobuf without saying so", status: 200, body: "\x0a\x00", want: unreadable},
	{name: "in protobuf without saying so 500", status: 500, body: "\x0a\x00", want: transientInDoubt},
	{name: "JSON that says it is protobuf", status: 200, header: asProtobuf, body: `{"done":{}}`, want: unreadable},
	{name: "protobuf with two results", status: 200, header: asProtobuf, body: "\x0a\x00\x12\x00", want: unreadable, words: "more than one result"},
	{name: "protobuf with a result twice", status: 200, header: asProtobuf, body: "\x0a\x00\x0a\x00", want: "done"},
	{name: "protobuf without a result", status: 200, header: asProtobuf, body: "\x2a\x00", want: unreadable, words: "no result"},
	{name: "protobuf that is broken", status: 200, header: asProtobuf, body: "\x0a\x7f", want: unreadable},
	{name: "two results", status: 200, body: `{"done":{},"rejected":{}}`, want: unreadable},
	{name: "two results without a status", body: `{"done":{},"rejected":{}}`, want: unreadable},
	{name: "two results 422", status: 422, body: `{"done":{},"rejected":{}}`, want: refused},
	{name: "two results 500", status: 500, body: `{"done":{},"rejected":{}}`, want: transientInDoubt},
	{name: "a result twice", status: 200, body: `{"rejected":{},"rejected":{}}`, want: unreadable},
	{name: "two values one after the other", status: 200, body: `{"done":{}}{"done":{}}`, want: unreadable},
	{name: "text after it", status: 200, body: `{"done":{}} OK`, want: unreadable},
	{name: "a list of it", status: 200, body: `[{"done":{}}]`, want: unreadable},
	{name: "a text of it", status: 200, body: `"{\"done\":{}}"`, want: unreadable},
	{name: "a result that is null", status: 200, body: `{"rejected":null}`, want: unreadable, words: "no result"},
	{name: "a result of another type", status: 200, body: `{"rejected":"no paper"}`, want: unreadable, words: "no paper"},
	{name: "a misspelled result", status: 200, body: `{"rejectd":{"code":"no_paper"}}`, want: unreadable, words: "no result"},
	{name: "a misspelled result without a status", body: `{"rejectd":{"code":"no_paper"}}`, want: unreadable},
	{name: "a misspelled result 404", status: 404, body: `{"rejectd":{"code":"no_paper"}}`, want: setup},
	{name: "a misspelled result 409", status: 409, body: `{"rejectd":{"code":"no_paper"}}`, want: transientInDoubt},
	{name: "a result in upper case", status: 200, body: `{"DONE":{}}`, want: unreadable},
	{name: "a delay of another type", status: 200, body: `{"retry":{"after":2}}`, want: unreadable},
	{name: "a delay of another type 503", status: 503, body: `{"retry":{"after":2}}`, want: transientInDoubt},
	{name: "a signal that is too long", status: 200, body: `{"pending":{"signal":"` + strings.Repeat("x", 129) + `"}}`, want: unreadable, words: "129 bytes"},

	// Successes that are not understood.
	{name: "data", status: 200, body: `{"box":"b-1"}`, want: unreadable, words: `"{\"box\":\"b-1\"}"`},
	{name: "data without a status", body: `{"box":"b-1"}`, want: unreadable},
	{name: "data 201", status: 201, body: `{"box":"b-1"}`, want: unreadable, words: "answered 201"},
	{name: "data 202", status: 202, body: `{"box":"b-1"}`, want: unreadable, words: "answered 202"},
	{name: "an error 200", status: 200, body: `{"error":"no paper"}`, want: unreadable, words: "no paper"},
	{name: "an empty object", status: 200, body: `{}`, want: unreadable, words: "no result"},
	{name: "an empty object without a status", body: `{}`, want: unreadable, words: "no result"},
	{name: "null", status: 200, body: `null`, want: unreadable},
	{name: "an empty list", status: 200, body: `[]`, want: unreadable},
	{name: "true", status: 200, body: `true`, want: unreadable},
	{name: "an empty text", status: 200, body: `""`, want: unreadable},
	{name: "white space", status: 200, body: "\n", want: unreadable},
	{name: "OK", status: 200, header: asText, body: `OK`, want: unreadable, words: `"OK"`},
	{name: "broken JSON", status: 200, body: `{"done":{"data":`, want: unreadable, words: `it begins with`},
	{name: "broken JSON without a status", body: `{"done":{"data":`, want: unreadable},
	{name: "the page of a proxy", status: 200, header: asHTML, body: "<html><title>Sign in</title>", want: unreadable, words: "Sign in"},
	{name: "XML", status: 207, header: map[string]string{"Content-Type": "application/xml"}, body: "<multistatus/>", want: unreadable},
	{name: "UTF-16", status: 200, body: "\xff\xfe{\x00}\x00", want: unreadable},
	{name: "bytes", status: 200, body: "\x00\xff\x1b[31m\u202e", want: unreadable},
	{name: "nested deeply", status: 200, body: strings.Repeat("[", 20000), want: unreadable},
	{name: "deep data of done", status: 200, body: `{"done":{"data":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}`, want: dropped, words: "nests deeper"},

	// Large answers.
	{name: "large data", status: 200, body: `{"done":{"data":"` + strings.Repeat("x", messages.MaxBody) + `"}}`, want: dropped, words: "at most 262144"},
	{name: "large data without a status", body: `{"done":{"data":"` + strings.Repeat("x", messages.MaxBody) + `"}}`, want: dropped},
	{name: "large data 409", status: 409, body: `{"done":{"data":"` + strings.Repeat("x", messages.MaxBody) + `"}}`, want: dropped},
	{name: "large done", status: 200, body: `{"done":{"data":"` + strings.Repeat("x", answerLimit) + `"}}`, want: dropped, words: "the answer has more than 307200 bytes"},
	{name: "large done without a status", body: `{"done":{"data":"` + strings.Repeat("x", answerLimit) + `"}}`, want: dropped, words: "the answer has more than 307200 bytes"},
	{name: "large done in protobuf", status: 200, header: asProtobuf, body: large(done(`{"box":"` + strings.Repeat("x", answerLimit) + `"}`)), want: dropped},
	{name: "large done 500", status: 500, body: `{"done":{"data":"` + strings.Repeat("x", answerLimit) + `"}}`, want: transientInDoubt},
	{name: "large rejected", status: 200, body: `{"rejected":{"code":"no_paper","reason":"` + strings.Repeat("x", answerLimit) + `"}}`, want: "rejected", words: "no_paper"},
	{name: "large rejected in protobuf", status: 200, header: asProtobuf, body: large(&messages.StepReply{Result: &messages.StepReply_Rejected{
		Rejected: &messages.StepRefused{Code: "no_paper", Reason: strings.Repeat("ü", answerLimit)}}}), want: "rejected", words: "no_paper"},
	{name: "large rejected in protobuf, cut in a character", status: 200, header: asProtobuf, body: large(&messages.StepReply{Result: &messages.StepReply_Rejected{
		Rejected: &messages.StepRefused{Code: "no_paper2", Reason: strings.Repeat("ü", answerLimit)}}}), want: "rejected", words: "no_paper2"},
	{name: "large pending", status: 200, body: `{"pending":{"signal":"wrapped","note":"` + strings.Repeat("x", answerLimit) + `"}}`, want: "pending", words: "wrapped"},
	{name: "large retry, cut in a character", status: 200, body: `{"retry":{"after":"22s","reason":"` + strings.Repeat("ü", answerLimit) + `"}}`, want: "retry", words: "seconds:22"},
	{name: "large retry", status: 200, body: `{"retry":{"after":"2s","reason":"` + strings.Repeat("ü", answerLimit) + `"}}`, want: "retry", words: "seconds:2"},
	{name: "large data that is no reply", status: 200, body: `{"boxes":["` + strings.Repeat("x", answerLimit) + `"]}`, want: unreadable, words: "more than 307200 bytes"},
	{name: "large list", status: 200, body: `[` + strings.Repeat("1,", answerLimit) + `1]`, want: unreadable},
	{name: "large field before the result", status: 200, body: `{"note":"` + strings.Repeat("x", answerLimit) + `","done":{}}`, want: unreadable},
	{name: "large page 422", status: 422, header: asHTML, body: strings.Repeat("x", answerLimit+1), want: refused, words: "Unprocessable"},
	{name: "long rejection", status: 200, body: `{"rejected":{"code":"` + strings.Repeat("c", 9000) + `","reason":"` + strings.Repeat("r", 9000) + `"}}`, want: "rejected"},

	// A business no by status.
	{name: "402", status: 402, want: refused, words: "Payment Required"},
	{name: "422", status: 422, want: refused, words: "Unprocessable"},
	{name: "422 with a problem", status: 422, body: `{"title":"Refused","detail":"no such paper"}`, want: refused, words: "no such paper"},
	{name: "422 with a text", status: 422, header: asText, body: "no\npaper\xff", want: refused, words: "no paper"},
	{name: "422 with a list", status: 422, body: `["no paper"]`, want: refused},

	// Faults of the set-up.
	{name: "400", status: 400, want: setup, words: "Bad Request"},
	{name: "401", status: 401, want: setup, words: "check the credentials"},
	{name: "403", status: 403, header: asHTML, body: "<html>", want: setup, words: "Forbidden"},
	{name: "404 with a problem", status: 404, body: `{"detail":"no route"}`, want: setup, words: "no route"},
	{name: "410", status: 410, want: setup},
	{name: "417: an expectation that was not sent", status: 417, want: setup},

	// Redirects.
	{name: "302", status: 302, want: setup, words: "answered 302"},
	{name: "303: the result of a request that was performed", status: 303, want: setupInDoubt, words: "redirects are not followed"},
	{name: "304", status: 304, want: setup, words: "check the target"},
	{name: "307", status: 307, want: setup, words: "name the final URL in the plan or in the downstreams file"},

	// Failures that pass.
	{name: "408", status: 408, want: transientInDoubt},
	{name: "409", status: 409, header: asText, body: "in progress", want: transientInDoubt, words: "in progress"},
	{name: "425", status: 425, want: transient},
	{name: "429", status: 429, want: transient},
	{name: "500", status: 500, body: `{"error":"out of memory"}`, want: transientInDoubt, words: "out of memory"},
	{name: "501", status: 501, want: transientInDoubt},
	{name: "503", status: 503, header: asHTML, body: "<html>", want: transientInDoubt, words: "Service Unavailable"},
	{name: "511: a captive portal", status: 511, want: transientInDoubt},
	{name: "599", status: 599, want: transientInDoubt, words: "no reason given"},
	{name: "101: a protocol that was not asked for", status: 101, want: transientInDoubt, words: "answered 101"},
}

// large returns a reply in protobuf.
func large(r *messages.StepReply) string {
	b, err := proto.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// meaning writes the end of a call as answer.want does.
func meaning(reply *messages.StepReply, err error) string {
	if err == nil {
		return result(reply)
	}
	f := delivery.AsFailure(err)
	if f.Kind == messages.Rejected {
		return refused
	}
	m := f.Kind.Label()
	if f.InDoubt {
		m += " in doubt"
	}
	if f.Done {
		m += " done"
	}
	return m
}

func checkAnswer(t *testing.T, a answer, reply *messages.StepReply, err error) {
	t.Helper()
	text := fmt.Sprint(reply)
	if err != nil {
		text = err.Error()
	}
	if got := meaning(reply, err); got != a.want || !strings.Contains(text, a.words) {
		t.Errorf("got %s: %.2000s\nwant %s with %q", got, text, a.want, a.words)
	}
	if len(text) > 4<<10 {
		t.Errorf("%d bytes are kept", len(text))
	}
	if f := delivery.AsFailure(err); err != nil && a.status >= 300 && a.want != dropped && f.Code != strconv.Itoa(a.status) {
		t.Errorf("code %q, want %d", f.Code, a.status)
	}
}

func TestAnswersOverHTTP(t *testing.T) {
	for _, a := range answerCases {
		if a.status == 0 {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			set := newSet(t, nil, gateway.Config{MaxReply: answerLimit, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return respond(a.status, a.header, a.body), nil
			})})
			reply, err := callAndWait(t, set, call("http://packing.example/wrap"))
			checkAnswer(t, a, reply, err)
		})
	}
}

// An undo that is pending waits for another signal than its step, unless it names one.
func TestSignalOfAPendingUndo(t *testing.T) {
	for _, a := range []answer{
		{status: 202, want: "pending", words: `signal:"wrap_undo"`},
		{status: 200, body: `{"pending":{}}`, want: "pending", words: `signal:"wrap_undo"`},
		{status: 200, body: `{"pending":{"signal":"unwrapped"}}`, want: "pending", words: `signal:"unwrapped"`},
	} {
		set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return respond(a.status, nil, a.body), nil
		})})
		undo := call("http://packing.example/wrap")
		undo.Direction = messages.Undo
		reply, err := callAndWait(t, set, undo)
		checkAnswer(t, a, reply, err)
	}
}

func TestAnswersOverNATS(t *testing.T) {
	nc := connect(t)
	requests := make(chan *nats.Msg, 1)
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) { requests <- m }); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{MaxReply: answerLimit})
	for _, a := range answerCases {
		t.Run(a.name, func(t *testing.T) {
			ended := make(chan callEnd, 1)
			set.Do(call("nats://wrap"), func(r *messages.StepReply, err error) { ended <- callEnd{r, err} })
			reply := &nats.Msg{Header: nats.Header{}, Data: []byte(a.body)}
			for key, value := range a.header {
				reply.Header.Set(key, value)
			}
			if a.status != 0 {
				reply.Header.Set("Nats-Service-Error-Code", strconv.Itoa(a.status))
			}
			if err := natstest.Receive(t, requests, "the request").RespondMsg(reply); err != nil {
				t.Fatal(err)
			}
			end := natstest.Receive(t, ended, "the end of the call")
			checkAnswer(t, a, end.reply, end.err)
		})
	}
}

// A body in protobuf that does not say so counts only with a status that means success, if the step asked for protobuf.
func TestProtobufWithoutContentType(t *testing.T) {
	var a answer
	set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(a.status, a.header, "\x0a\x00"), nil
	})})
	octets := map[string]string{"Content-Type": "application/octet-stream"}
	for _, a = range []answer{
		{status: 200, want: "done"}, {status: 200, header: octets, want: "done"}, {status: 200, header: asText, want: unreadable},
		{status: 500, want: transientInDoubt}, {status: 404, header: octets, want: setup},
	} {
		c := call("http://packing.example/wrap")
		c.Step.Encoding = messages.Encoding_ENCODING_PROTOBUF
		reply, err := callAndWait(t, set, c)
		checkAnswer(t, a, reply, err)
	}
}

// Every status without a body means what its class says, with the exceptions listed here.
func TestEveryStatus(t *testing.T) {
	exceptions := map[int]string{
		202: "pending", 206: unreadable, 226: unreadable, 303: setupInDoubt,
		402: refused, 408: transientInDoubt, 409: transientInDoubt, 422: refused, 425: transient, 429: transient,
	}
	var status int
	set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(status, nil, ""), nil
	})})
	for status = 100; status < 1000; status++ {
		want, ok := exceptions[status]
		if !ok {
			switch status / 100 {
			case 2:
				want = "done"
			case 3, 4:
				want = setup
			default:
				want = transientInDoubt
			}
		}
		reply, err := callAndWait(t, set, call("http://packing.example/wrap"))
		if got := meaning(reply, err); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

func TestErrorCodesThatAreNoStatuses(t *testing.T) {
	nc := connect(t)
	var header nats.Header
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) { _ = m.RespondMsg(&nats.Msg{Header: header, Data: []byte(`{"detail":"jam"}`)}) }); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{})
	for _, code := range []string{"TOO_BAD", "0", "-422", "1422", "70000", "99999999999999999999", "4e2"} {
		header = nats.Header{"Nats-Service-Error-Code": {code}, "Nats-Service-Error": {"no paper"}}
		reply, err := callAndWait(t, set, call("nats://wrap"))
		checkAnswer(t, answer{want: transientInDoubt, words: fmt.Sprintf("nats://wrap: answered with error code %q: no paper", code)}, reply, err)
		if f := delivery.AsFailure(err); f.Code != code {
			t.Errorf("code %q, want %q", f.Code, code)
		}
	}
	header = nats.Header{"Nats-Service-Error": {"no paper"}}
	reply, err := callAndWait(t, set, call("nats://wrap"))
	checkAnswer(t, answer{want: transientInDoubt, words: "nats://wrap: answered with an error: no paper"}, reply, err)
}

func TestRetryAfter(t *testing.T) {
	const day = 24 * time.Hour
	// The clock of synctest begins at midnight, 2000-01-01 UTC.
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-7": 0, "+7": 0, "1.5": 0, "7s": 0, "soon": 0, "7, 8": 0,
		"86400": day, "86401": day, "4294967296": day, "99999999999999999999999": day, "0x10": 0, "１": 0,
		"Sat, 01 Jan 2000 00:01:00 GMT":    time.Minute,
		"Saturday, 01-Jan-00 00:01:00 GMT": time.Minute,
		"Sat Jan  1 00:01:00 2000":         time.Minute,
		"Sat, 01 Jan 2000 02:00:00 CET":    0,
		"Fri, 31 Dec 1999 00:01:00 GMT":    0,
		"Thu, 01 Jan 1970 00:00:00 GMT":    0,
		"Fri, 31 Dec 9999 23:59:59 GMT":    day,
		"Sat, 01 Jan 2000 25:61:00 GMT":    0,
		"2000-01-01T00:01:00Z":             0,
		strings.Repeat("9", 5000):          day,
	} {
		t.Run(fmt.Sprintf("%.40s", value), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := newSet(t, nil, gateway.Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					return respond(503, map[string]string{"Retry-After": value}, ""), nil
				})})
				_, err := callAndWait(t, set, call("http://packing.example/wrap"))
				if f := requireFailure(t, err, messages.Transient); f.RetryAfter != want {
					t.Errorf("RetryAfter is %s, want %s", f.RetryAfter, want)
				}
			})
		})
	}
}

func TestRetryAfterOverNATS(t *testing.T) {
	nc := connect(t)
	var after string
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"503"}, "Retry-After": {after}}})
	}); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{})
	in := time.Now().Add(12 * time.Hour).UTC()
	for _, after = range []string{in.Format(http.TimeFormat), in.Format("Monday, 02-Jan-06 15:04:05 GMT"), in.Format(time.ANSIC), "43200"} {
		_, err := callAndWait(t, set, call("nats://wrap"))
		if f := requireFailure(t, err, messages.Transient); f.RetryAfter <= 11*time.Hour || f.RetryAfter > 12*time.Hour {
			t.Errorf("%s: RetryAfter is %s, want 12h", after, f.RetryAfter)
		}
	}
}

// A downstream's entry says which statuses are a business no; the defaults do not add to them.
func TestRejectsOfADownstream(t *testing.T) {
	d := directoryWith(t, nil, "packing: {url: 'http://packing.example', rejects: [404, 409]}\nsending: {nats: send, rejects: [404]}")
	nc := connect(t)
	var status int
	if _, err := nc.Subscribe("send.*", func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {strconv.Itoa(status)}}})
	}); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{Directory: d, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return respond(status, nil, ""), nil
	})})
	for _, c := range []struct {
		target string
		status int
		want   string
	}{
		{"packing/wrap", 404, refused}, {"packing/wrap", 409, refused}, {"packing/wrap", 422, setup},
		{"http://packing.example/wrap", 404, refused},
		{"sending/wrap", 404, refused}, {"sending/wrap", 402, setup}, {"nats://send.wrap", 404, refused},
	} {
		status = c.status
		reply, err := callAndWait(t, set, call(c.target))
		checkAnswer(t, answer{status: c.status, want: c.want}, reply, err)
	}
}
