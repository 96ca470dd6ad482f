package ingress

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// sourcePrefixes are the subject prefixes of the streams whose messages can become dead letters.
var sourcePrefixes = map[string]string{messages.StreamOrders: messages.SubjectOrder, messages.StreamTimers: messages.SubjectWake}

// foreignDeadLetter describes a message in the dead-letter stream that no node stored.
func foreignDeadLetter(m *natsclient.StoredMsg, header nats.Header, reasons []string) *DeadLetter {
	reason := "no node stored this: " + strings.Join(reasons, ", ")
	if own := headerValue(header, messages.HeaderDeadReason); own != "" {
		reason += fmt.Sprintf("; its reason: %q", own)
	}
	return &DeadLetter{
		Sequence: m.Sequence, Stored: m.Time, OrderID: deadLetterID(m), Reason: sanitize(reason, maxReason), Foreign: true,
		Subject: m.Subject, Stream: messages.StreamDead, Source: m.Sequence, Header: header, Body: m.Data,
	}
}

// foreignReasons says why encodeDeadLetter cannot have made the message; none if it can.
func foreignReasons(m *natsclient.StoredMsg, header nats.Header) []string {
	reasons := CheckDeadLetter(m.Subject, header)
	if _, ok := rawHeaderLength(header, m.Data); !ok {
		reasons = append(reasons, wrongHeader(header, headerRawLength, "a length within the body"))
	}
	return reasons
}

// CheckDeadLetter says why no node can have stored a dead letter with that subject and these headers; none if one can.
func CheckDeadLetter(subject string, header nats.Header) []string {
	var reasons []string
	check := func(name string, ok bool, want string) {
		switch {
		case len(header[name]) == 0:
			reasons = append(reasons, fmt.Sprintf("header %s is missing", name))
		case !ok:
			reasons = append(reasons, wrongHeader(header, name, want))
		}
	}
	stream := headerValue(header, messages.HeaderDeadStream)
	prefix, known := sourcePrefixes[stream]
	token, matches := strings.CutPrefix(headerValue(header, messages.HeaderDeadSubject), prefix)
	check(messages.HeaderDeadReason, true, "")
	check(messages.HeaderDeadSubject, !known || matches && !strings.Contains(token, "."), "one of stream "+stream)
	check(messages.HeaderDeadStream, known, fmt.Sprintf("%s or %s", messages.StreamOrders, messages.StreamTimers))
	_, ok := sourceSequence(header)
	check(messages.HeaderDeadSequence, ok, "a sequence")
	if _, err := messages.IDFromSubject(messages.SubjectDead, subject); err != nil && subject != messages.SubjectDead+messages.DeadUnknown {
		reasons = append(reasons, fmt.Sprintf("its subject ends neither in an order id nor in %q", messages.DeadUnknown))
	}
	return reasons
}

func wrongHeader(header nats.Header, name, want string) string {
	return fmt.Sprintf("header %s is %q: want %s", name, truncate(headerValue(header, name), 80), want)
}
