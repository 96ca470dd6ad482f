package ingress

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// headerOriginal comes before the name of each original header, so that none of them has an effect here.
	headerOriginal = "Orderly-Dead-Header-"
	// headerHead is set when the original headers could not be carried as headers: the length of the original header
	// block, in bytes, which then comes before the original body.
	headerHead = "Orderly-Dead-Head"
	// maxDeadHeaders leaves room below the 64 KiB a stream allows for headers.
	maxDeadHeaders = 48 << 10
	// maxReason bounds a reason, in bytes.
	maxReason = 1024
)

// DeadLetter is a message that could not be tied to an order, or one that somebody put among these.
type DeadLetter struct {
	// Sequence of the dead letter; it is known by it.
	Sequence uint64
	// Stored is when the dead letter was stored.
	Stored time.Time
	// OrderID is that of the original subject, or empty if it has none that is usable.
	OrderID messages.OrderID
	// Reason says what is wrong with the message.
	Reason string
	// Subject, Stream and Source name the original message; Source is its sequence.
	Subject, Stream string
	Source          uint64
	// Header and Body are as they were published. Header is nil if there were none or they cannot be read.
	Header nats.Header
	Body   []byte
	// Foreign: no node stored it, which Reason says more of. Subject, Stream, Source, Header and Body are its own.
	Foreign bool
	// unreadable: there are headers that cannot be read.
	unreadable bool
}

// newDeadLetter wraps a stored message. Its id makes storing the same message twice one dead letter.
func newDeadLetter(id, reason, stream string, m *rawMsg) *nats.Msg {
	letter := nats.NewMsg(messages.SubjectDead + id)
	letter.Data = m.Data
	if original, ok := prefixed(m.Header); ok {
		letter.Header = original
	} else {
		letter.Header[headerHead] = []string{strconv.Itoa(len(m.Header))}
		letter.Data = append(append(make([]byte, 0, len(m.Header)+len(m.Data)), m.Header...), m.Data...)
	}
	letter.Header[nats.MsgIdHdr] = []string{fmt.Sprintf("%s:%d:%d", stream, m.Seq, m.Time.UnixNano())}
	letter.Header[messages.HeaderDeadReason] = []string{reason}
	letter.Header[messages.HeaderDeadSubject] = []string{m.Subject}
	letter.Header[messages.HeaderDeadStream] = []string{stream}
	letter.Header[messages.HeaderDeadSequence] = []string{strconv.FormatUint(m.Seq, 10)}
	return letter
}

// prefixed returns the headers of a block under names without effect, or false when not all of them can be carried so.
func prefixed(block []byte) (nats.Header, bool) {
	if len(block) == 0 {
		return nats.Header{}, true
	}
	original, err := nats.DecodeHeadersMsg(block)
	if err != nil {
		return nil, false
	}
	out := make(nats.Header, len(original)+5)
	size := 0
	for name, values := range original {
		if !carriable(name) {
			return nil, false
		}
		for _, v := range values {
			size += len(headerOriginal) + len(name) + len(v) + 4
		}
		out[headerOriginal+name] = values
	}
	return out, size <= maxDeadHeaders
}

// carriable reports whether the client library sends a header of that name.
func carriable(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || strings.IndexByte(`"()/,:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// readDeadLetter undoes newDeadLetter, if that is where the message comes from.
func readDeadLetter(m *rawMsg) *DeadLetter {
	header, err := decodeHeaders(m.Header)
	if err != nil {
		return foreignLetter(m, nil, "its headers cannot be read")
	}
	if odd := oddities(m, header); len(odd) > 0 {
		return foreignLetter(m, header, odd...)
	}
	d := &DeadLetter{
		Sequence: m.Seq, Stored: m.Time, Body: m.Data, OrderID: letterID(m),
		Reason:  first(header, messages.HeaderDeadReason),
		Subject: first(header, messages.HeaderDeadSubject),
		Stream:  first(header, messages.HeaderDeadStream),
	}
	d.Source, _ = sourceOf(header)
	if n, _ := headOf(header, m.Data); n > 0 {
		d.Body = m.Data[n:]
		if d.Header, err = nats.DecodeHeadersMsg(m.Data[:n]); err != nil {
			d.unreadable = true
		}
		return d
	}
	for name, values := range header {
		if original, ok := strings.CutPrefix(name, headerOriginal); ok {
			if d.Header == nil {
				d.Header = make(nats.Header)
			}
			d.Header[original] = values
		}
	}
	return d
}

// decodeHeaders reads a header block, which is empty when there are no headers.
func decodeHeaders(block []byte) (nats.Header, error) {
	if len(block) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(block)
}

// letterID is the id at the end of the dead letter's subject, if there is a usable one.
func letterID(m *rawMsg) messages.OrderID {
	id, err := messages.IDFromSubject(messages.SubjectDead, m.Subject)
	if err != nil {
		return ""
	}
	return id
}

// sourceOf is the sequence of the original message, or false when the header gives none.
func sourceOf(header nats.Header) (uint64, bool) {
	seq, err := strconv.ParseUint(first(header, messages.HeaderDeadSequence), 10, 64)
	return seq, err == nil && seq > 0
}

// headOf is how many bytes of the body are the original header block, 0 if none are, or false when it cannot be so.
func headOf(header nats.Header, body []byte) (int, bool) {
	if len(header[headerHead]) == 0 {
		return 0, true
	}
	n, err := strconv.Atoi(first(header, headerHead))
	return n, err == nil && n > 0 && n <= len(body)
}

// line makes text fit for a header and a log: one line of at most so many bytes.
func line(text string, most int) string {
	return clip(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text), most)
}

// clip shortens text to at most so many bytes, without cutting a character in two.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
