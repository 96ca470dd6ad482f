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

// DeadLetter is a message that could not be tied to an order.
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
	// unreadable: there are headers that cannot be read.
	unreadable bool
}

// newDeadLetter wraps a stored message. Its id makes storing the same message twice one dead letter.
func newDeadLetter(id, reason, stream string, m *storedMessage) *nats.Msg {
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

// readDeadLetter undoes newDeadLetter.
func readDeadLetter(m *storedMessage) (*DeadLetter, error) {
	header, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		return nil, fmt.Errorf("dead letter %d: its headers: %w", m.Seq, err)
	}
	d := &DeadLetter{
		Sequence: m.Seq, Stored: m.Time, Body: m.Data,
		Reason:  first(header, messages.HeaderDeadReason),
		Subject: first(header, messages.HeaderDeadSubject),
		Stream:  first(header, messages.HeaderDeadStream),
	}
	if id, err := messages.IDFromSubject(messages.SubjectDead, m.Subject); err == nil {
		d.OrderID = id
	}
	if d.Source, err = strconv.ParseUint(first(header, messages.HeaderDeadSequence), 10, 64); err != nil {
		return nil, fmt.Errorf("dead letter %d: header %s: %w", m.Seq, messages.HeaderDeadSequence, err)
	}
	if head := first(header, headerHead); head != "" {
		n, err := strconv.Atoi(head)
		if err != nil || n < 0 || n > len(m.Data) {
			return nil, fmt.Errorf("dead letter %d: header %s is %q: want a length within the body", m.Seq, headerHead, head)
		}
		d.Body = m.Data[n:]
		if d.Header, err = nats.DecodeHeadersMsg(m.Data[:n]); err != nil {
			d.unreadable = true
		}
		return d, nil
	}
	for name, values := range header {
		if original, ok := strings.CutPrefix(name, headerOriginal); ok {
			if d.Header == nil {
				d.Header = make(nats.Header)
			}
			d.Header[original] = values
		}
	}
	return d, nil
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
