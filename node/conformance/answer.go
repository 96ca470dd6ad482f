package conformance

import (
	"encoding/json"
	"fmt"
)

// Answer is how a service answers one call. The zero value is an empty 200 over HTTP, and an empty message over NATS.
type Answer struct {
	// Perform: the effect of the key exists before the answer is sent.
	Perform bool
	// Forgetful: the service has forgotten the key, and performs the effect again.
	Forgetful bool
	// Status is that of the HTTP answer, 0 for 200, and over NATS the header Nats-Service-Error-Code, 0 for none.
	Status int
	Header map[string]string
	Body   string
	// Raw are the bytes sent over HTTP in place of an answer. The connection is closed afterwards, with Silent it stays open.
	Raw   string
	Fault Fault
}

// Fault is what goes wrong with an answer.
type Fault int

const (
	// Silent: no answer is sent, and the connection stays open.
	Silent Fault = iota + 1
	// Late: the answer is sent when the next call under the key arrives.
	Late
	// Twice: the answer is sent twice.
	Twice
	// Reset: no answer is sent; an HTTP connection is reset.
	Reset
)

// Script decides the answer to a call.
type Script func(Call) Answer

// Sequence answers the first calls under a key with the answers in their order, and all later calls with the last answer.
func Sequence(answers ...Answer) Script {
	return func(c Call) Answer { return answers[min(c.Number, len(answers))-1] }
}

// Done performs the effect and answers with a StepReply. The data are JSON, or empty.
func Done(data string) Answer {
	if data == "" {
		return Answer{Perform: true, Body: `{"done":{}}`}
	}
	return Answer{Perform: true, Body: `{"done":{"data":` + data + `}}`}
}

// Rejected is an explicit refusal.
func Rejected(code, reason string) Answer {
	return Answer{Body: fmt.Sprintf(`{"rejected":{"code":%s,"reason":%s}}`, quote(code), quote(reason))}
}

// Pending answers that a signal will come.
func Pending(signal string) Answer {
	return Answer{Body: fmt.Sprintf(`{"pending":{"signal":%s}}`, quote(signal))}
}

// Retry asks for another call after a delay, such as 0.1s.
func Retry(after, reason string) Answer {
	return Answer{Body: fmt.Sprintf(`{"retry":{"after":%s,"reason":%s}}`, quote(after), quote(reason))}
}

// Status answers with a status and a text, but without a StepReply.
func Status(status int, text string) Answer {
	return Answer{Status: status, Header: map[string]string{"Content-Type": "text/plain"}, Body: text}
}

// Performing is the answer after the effect was performed.
func (a Answer) Performing() Answer {
	a.Perform = true
	return a
}

// With is the answer with one more header.
func (a Answer) With(name, value string) Answer {
	header := map[string]string{name: value}
	for k, v := range a.Header {
		if k != name {
			header[k] = v
		}
	}
	a.Header = header
	return a
}

// As is the answer with another status.
func (a Answer) As(status int) Answer {
	a.Status = status
	return a
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string has a JSON form
	}
	return string(b)
}
