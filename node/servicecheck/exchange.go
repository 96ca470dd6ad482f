package servicecheck

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// maxShown is how much of a body is shown, in bytes.
const maxShown = 4 << 10

// Exchange is one call: what was sent, what came, and what it means.
type Exchange struct {
	// Target is the URL, or the name in the file of downstreams.
	Target string
	// Sent is the request; nil: nothing was sent.
	Sent *Message
	// Status is that of HTTP or the header Nats-Service-Error-Code; 0: none.
	Status int
	// Answer is what came; nil: nothing.
	Answer *Message
	Took   time.Duration
	// Reply and Err are the end of the call, as an order gets it, and Meaning says what the order does with it.
	Reply   *messages.StepReply
	Err     error
	Meaning gateway.Meaning
}

// Message is a request or an answer.
type Message struct {
	Header map[string][]string
	Body   []byte
}

// public are the headers whose values are shown. Those of any other may be secrets.
var public = map[string]bool{
	"accept": true, "content-type": true, "content-length": true, "date": true, "idempotency-key": true, "location": true,
	"nats-service-error": true, "nats-service-error-code": true, "orderly-attempt": true, "orderly-fencing-token": true,
	"retry-after": true, "server": true, "traceparent": true, "tracestate": true, "user-agent": true,
}

// Headers are the headers by name, one line each; the values of headers that may hold secrets are hidden.
func (m *Message) Headers() []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		value := strings.Join(m.Header[name], ", ")
		if !public[strings.ToLower(name)] {
			value = "***"
		}
		lines = append(lines, name+": "+value)
	}
	return lines
}

// Text is the body: indented if it is JSON, in base64 if it is not text, and at most 4 KiB of it.
func (m *Message) Text() string {
	body := m.Body
	switch {
	case !utf8.Valid(body):
		return bounded(base64.StdEncoding.EncodeToString(body)) + " (base64)"
	case json.Valid(body):
		if indented, err := json.MarshalIndent(json.RawMessage(body), "", "  "); err == nil {
			body = indented
		}
	}
	return bounded(string(body))
}

func bounded(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// Came is what came in one line: the status and the body, or the error.
func (x *Exchange) Came() string {
	if x.Answer == nil {
		if x.Err != nil {
			return x.Err.Error()
		}
		return x.Meaning.Outcome
	}
	body := x.Answer.Body
	if x.Reply != nil && !json.Valid(body) {
		if readable, err := messages.MarshalJSON(x.Reply); err == nil {
			body = readable
		}
	}
	text := x.StatusText()
	if line := strings.Join(strings.Fields(string(body)), " "); line != "" && utf8.ValidString(line) {
		text += " " + clip(line)
	} else {
		text += fmt.Sprintf(" %d bytes", len(body))
	}
	return strings.TrimSpace(text) + " → " + x.Meaning.Outcome
}

// StatusText is the status in words; empty without one.
func (x *Exchange) StatusText() string {
	if x.Status == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", x.Status, http.StatusText(x.Status)))
}

// clip bounds a text for a line of a report.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// failure is the failure of the call, or nil.
func (x *Exchange) failure() *delivery.Failure {
	if x.Err == nil {
		return nil
	}
	return delivery.AsFailure(x.Err)
}

func (x *Exchange) done() bool {
	return x.Reply.GetDone() != nil || x.failure() != nil && x.failure().Done
}

// unreadable reports that the service performed the call and its answer cannot be read.
func (x *Exchange) unreadable() bool {
	return x.failure() != nil && x.failure().Kind == messages.Unreadable
}

func (x *Exchange) pending() bool { return x.Reply.GetPending() != nil }

// rejected reports a business no, explicit or by status.
func (x *Exchange) rejected() bool {
	return x.Reply.GetRejected() != nil || x.failure() != nil && x.failure().Kind == messages.Rejected
}

// refused reports that the service certainly did not act: it rejected the call, asked for a retry, or answered with a status
// of the caller's fault.
func (x *Exchange) refused() bool {
	return x.rejected() || x.Reply.GetRetry() != nil || x.Reply == nil && x.Status >= 400 && x.Status <= 499 && x.Status != http.StatusRequestTimeout
}

// temporary reports an end after which the engine makes the call again.
func (x *Exchange) temporary() bool {
	f := x.failure()
	return x.Reply.GetRetry() != nil || f != nil && f.Kind == messages.Transient
}

// agrees reports whether two answers to one key are the same: a pending step may be done by the second one.
func (x *Exchange) agrees(y *Exchange) bool {
	switch {
	case x.done() && y.done():
		return x.Reply.GetDone().GetData() == y.Reply.GetDone().GetData()
	case x.rejected() && y.rejected():
		return x.code() == y.code()
	case x.pending():
		return y.done() || y.pending() && x.Reply.GetPending().GetSignal() == y.Reply.GetPending().GetSignal()
	}
	return x.done() && y.pending()
}

func (x *Exchange) code() string {
	if f := x.failure(); f != nil {
		return f.Code
	}
	return x.Reply.GetRejected().GetCode()
}
