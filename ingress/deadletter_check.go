package ingress

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// origins are the streams whose messages become dead letters, with what the subjects of these begin with.
var origins = map[string]string{messages.StreamOrders: messages.SubjectOrder, messages.StreamTimers: messages.SubjectWake}

// foreignLetter is what can be told of a message that somebody else than a node stored among the dead letters.
func foreignLetter(m *rawMsg, header nats.Header, odd ...string) *DeadLetter {
	reason := "no node stored this: " + strings.Join(odd, ", ")
	if said := first(header, messages.HeaderDeadReason); said != "" {
		reason += fmt.Sprintf("; its reason: %q", said)
	}
	return &DeadLetter{
		Sequence: m.Seq, Stored: m.Time, OrderID: letterID(m), Reason: line(reason, maxReason), Foreign: true,
		Subject: m.Subject, Stream: messages.StreamDead, Source: m.Seq, Header: header, Body: m.Data,
	}
}

// oddities are what newDeadLetter would have done in another way.
func oddities(m *rawMsg, header nats.Header) []string {
	odd := CheckDeadLetter(m.Subject, header)
	if _, right := headOf(header, m.Data); !right {
		odd = append(odd, fmt.Sprintf("header %s is %q: want a length within the body", headerHead, clip(first(header, headerHead), 80)))
	}
	return odd
}

// CheckDeadLetter says why no node can have stored a message with that subject and these headers among the dead letters.
// Of what a node stored it says nothing.
func CheckDeadLetter(subject string, header nats.Header) []string {
	var odd []string
	// check complains about a header that is not there, or else is not as it has to be.
	check := func(name string, right bool, want string) {
		switch {
		case len(header[name]) == 0:
			odd = append(odd, fmt.Sprintf("header %s is missing", name))
		case !right:
			odd = append(odd, fmt.Sprintf("header %s is %q: want %s", name, clip(first(header, name), 80), want))
		}
	}
	stream := first(header, messages.HeaderDeadStream)
	prefix, known := origins[stream]
	token, within := strings.CutPrefix(first(header, messages.HeaderDeadSubject), prefix)
	check(messages.HeaderDeadReason, true, "")
	check(messages.HeaderDeadSubject, !known || within && !strings.Contains(token, "."), "one of stream "+stream)
	check(messages.HeaderDeadStream, known, fmt.Sprintf("%s or %s", messages.StreamOrders, messages.StreamTimers))
	_, right := sourceOf(header)
	check(messages.HeaderDeadSequence, right, "a sequence")
	if _, err := messages.IDFromSubject(messages.SubjectDead, subject); err != nil && subject != messages.SubjectDead+messages.DeadUnknown {
		odd = append(odd, fmt.Sprintf("its subject ends in no order id and not in %q", messages.DeadUnknown))
	}
	return odd
}
