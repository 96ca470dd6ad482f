package ingress

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// originalHeaderPrefix is prepended to the name of each original header, so that it has no effect on the dead letter.
	originalHeaderPrefix = "Orderly-Dead-Header-"
	// headerRawLength is set if the original headers cannot be sent as headers. It is the length of the original header block
	// in bytes, which then precedes the original body.
	headerRawLength = "Orderly-Dead-Head"
	// maxDeadHeaders is below the 64 KiB that a stream allows for headers, to leave room for the dead letter's own.
	maxDeadHeaders = 48 << 10
	// maxReason bounds a reason, in bytes.
	maxReason = 1024
)

// DeadLetter is a message that cannot be assigned to an order, or a foreign message in the dead-letter stream.
type DeadLetter struct {
	// Sequence identifies the dead letter.
	Sequence uint64
	// Stored is when the dead letter was stored.
	Stored time.Time
	// OrderID is that of the original subject, or empty if that has no valid one.
	OrderID messages.OrderID
	// Reason says what is wrong with the message.
	Reason string
	// Subject, Stream and Source name the original message; Source is its sequence.
	Subject, Stream string
	Source          uint64
	// Header and Body are as published. Header is nil if there were no headers or they are unreadable.
	Header nats.Header
	Body   []byte
	// Foreign: no node stored this message; Reason says why. Subject, Stream, Source, Header and Body are its own.
	Foreign bool

	unreadableHeaders bool
}

// encodeDeadLetter makes a dead letter of a stored message. Its message id makes repeated stores of the same message one dead
// letter.
func encodeDeadLetter(id messages.OrderID, reason, stream string, m *natsclient.StoredMsg) *nats.Msg {
	if id == "" {
		id = messages.DeadUnknown
	}
	dead := &nats.Msg{Subject: messages.SubjectDead + string(id), Data: m.Data}
	header, ok := encodeHeaders(m.Header)
	if !ok {
		header = nats.Header{headerRawLength: {strconv.Itoa(len(m.Header))}}
		dead.Data = append(append(make([]byte, 0, len(m.Header)+len(m.Data)), m.Header...), m.Data...)
	}
	header[nats.MsgIdHdr] = []string{fmt.Sprintf("%s:%d:%d", stream, m.Sequence, m.Time.UnixNano())}
	header[messages.HeaderDeadReason] = []string{reason}
	header[messages.HeaderDeadSubject] = []string{m.Subject}
	header[messages.HeaderDeadStream] = []string{stream}
	header[messages.HeaderDeadSequence] = []string{strconv.FormatUint(m.Sequence, 10)}
	dead.Header = header
	return dead
}

// encodeHeaders returns the headers of a block under prefixed names, or false if some cannot be sent under such a name.
func encodeHeaders(block []byte) (nats.Header, bool) {
	original, err := decodeHeaders(block)
	if err != nil {
		return nil, false
	}
	out := make(nats.Header, len(original)+5)
	size := 0
	for name, values := range original {
		if !validHeaderName(name) {
			return nil, false
		}
		for _, v := range values {
			size += len(originalHeaderPrefix) + len(name) + len(v) + 4
		}
		out[originalHeaderPrefix+name] = values
	}
	return out, size <= maxDeadHeaders
}

// validHeaderName reports whether nats.go sends a header of that name.
func validHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || strings.IndexByte(`"()/,:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// decodeDeadLetter is the inverse of encodeDeadLetter; any other message is a foreign dead letter.
func decodeDeadLetter(m *natsclient.StoredMsg) *DeadLetter {
	header, err := decodeHeaders(m.Header)
	if err != nil {
		return foreignDeadLetter(m, nil, []string{"unreadable headers"})
	}
	if reasons := foreignReasons(m, header); len(reasons) > 0 {
		return foreignDeadLetter(m, header, reasons)
	}
	d := &DeadLetter{
		Sequence: m.Sequence, Stored: m.Time, Body: m.Data, OrderID: deadLetterID(m),
		Reason:  headerValue(header, messages.HeaderDeadReason),
		Subject: headerValue(header, messages.HeaderDeadSubject),
		Stream:  headerValue(header, messages.HeaderDeadStream),
	}
	d.Source, _ = sourceSequence(header)
	if n, _ := rawHeaderLength(header, m.Data); n > 0 {
		d.Body = m.Data[n:]
		d.Header, err = nats.DecodeHeadersMsg(m.Data[:n])
		d.unreadableHeaders = err != nil
		return d
	}
	for name, values := range header {
		if original, ok := strings.CutPrefix(name, originalHeaderPrefix); ok {
			if d.Header == nil {
				d.Header = make(nats.Header)
			}
			d.Header[original] = values
		}
	}
	return d
}

// deadLetterID is the id in the dead letter's subject, or empty if that is not valid.
func deadLetterID(m *natsclient.StoredMsg) messages.OrderID {
	id, _ := messages.IDFromSubject(messages.SubjectDead, m.Subject) // empty with an error
	return id
}

// sourceSequence is the sequence of the original message, or false if the header has no valid one.
func sourceSequence(header nats.Header) (uint64, bool) {
	seq, err := strconv.ParseUint(headerValue(header, messages.HeaderDeadSequence), 10, 64)
	return seq, err == nil && seq > 0
}

// rawHeaderLength is the number of bytes of the body that are the original header block; false if the header is invalid.
func rawHeaderLength(header nats.Header, body []byte) (int, bool) {
	if len(header[headerRawLength]) == 0 {
		return 0, true
	}
	n, err := strconv.Atoi(headerValue(header, headerRawLength))
	return n, err == nil && n > 0 && n <= len(body)
}

// sanitize makes untrusted text safe for a header and a log: it replaces control characters by spaces, and truncates.
func sanitize(text string, maxBytes int) string {
	return truncate(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text), maxBytes)
}

// truncate cuts text to at most maxBytes, between two characters.
func truncate(text string, maxBytes int) string {
	if len(text) <= maxBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxBytes], "")
}
