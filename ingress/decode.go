package ingress

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// deadEnd says why a message belongs to no order. The zero value says that it does.
type deadEnd struct {
	class, reason string
}

func deadf(class, format string, args ...any) deadEnd {
	return deadEnd{class: class, reason: fmt.Sprintf(format, args...)}
}

// read fills the delivery from the message.
func read(d *delivery.Delivery, m *nats.Msg) deadEnd {
	if d.Stream == messages.StreamTimers {
		return readWake(d, m)
	}
	id, err := messages.IDFromSubject(messages.SubjectOrder, m.Subject)
	if err != nil {
		return deadf(classSubject, "%v", err)
	}
	d.OrderID = id
	if m.Header == nil && m.Size() > len(m.Subject)+len(m.Reply)+len(m.Data) {
		return deadf(classUndecodable, "the headers cannot be read")
	}
	if len(m.Data) > messages.MaxBody {
		return deadf(classTooLarge, "the body has %d bytes: at most %d are allowed", len(m.Data), messages.MaxBody)
	}
	readTrace(d, m.Header)
	d.Type = typeOfHeader(first(m.Header, messages.HeaderType))
	return readBody(d, first(m.Header, messages.HeaderContentType), m.Data)
}

// typeOfHeader is a known type as our constant, so that a delivery does not keep the whole header block in memory.
func typeOfHeader(value string) messages.Type {
	switch t := messages.Type(value); t {
	case "", messages.TypeCreated:
		return messages.TypeCreated
	case messages.TypeCancel:
		return messages.TypeCancel
	case messages.TypeSignal:
		return messages.TypeSignal
	case messages.TypeRetry:
		return messages.TypeRetry
	case messages.TypeSkip:
		return messages.TypeSkip
	default:
		return t
	}
}

func readBody(d *delivery.Delivery, contentType string, body []byte) deadEnd {
	var err error
	switch d.Type {
	case messages.TypeCreated:
		return readCreated(d, contentType, body)
	case messages.TypeCancel:
		d.Cancel, err = messages.DecodeCancel(contentType, body)
	case messages.TypeSignal:
		d.Signal, err = messages.DecodeSignal(contentType, body)
	case messages.TypeRetry:
		_, err = messages.DecodeRetry(contentType, body)
	case messages.TypeSkip:
		d.Skip, err = messages.DecodeSkip(contentType, body)
	default:
		return deadf(classUnknownType, "header %s is %q: want %s, %s, %s, %s or %s", messages.HeaderType, clip(string(d.Type), 80),
			messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip)
	}
	if err != nil {
		return deadf(classUndecodable, "%v", err)
	}
	return deadEnd{}
}

// readCreated tells apart what is wrong about an order, which is then accepted and rejected, and what makes it unclear
// which order is meant.
func readCreated(d *delivery.Delivery, contentType string, body []byte) deadEnd {
	created, err := messages.DecodeCreated(contentType, body)
	if err != nil {
		return deadf(classUndecodable, "%v", err)
	}
	if created.OrderId != "" && created.OrderId != string(d.OrderID) {
		return deadf(classMismatch, "order_id is %q and the subject ends in %q: they have to be equal", clip(created.OrderId, 80), d.OrderID)
	}
	messages.Normalize(created)
	d.Invalid = messages.Validate(created, d.OrderID)
	created.OrderId = string(d.OrderID)
	d.Created = created
	return deadEnd{}
}

func readWake(d *delivery.Delivery, m *nats.Msg) deadEnd {
	d.Type = messages.TypeWake
	id, err := messages.IDFromSubject(messages.SubjectWake, m.Subject)
	if err != nil {
		return deadf(classSubject, "%v", err)
	}
	d.OrderID = id
	park := first(m.Header, messages.HeaderPark)
	if d.Park, err = strconv.ParseUint(park, 10, 64); err != nil || d.Park == 0 {
		return deadf(classUndecodable, "header %s of a wake-up is %q: want the journal sequence of the OrderParked", messages.HeaderPark, clip(park, 80))
	}
	d.Snapshot = m.Data
	readTrace(d, m.Header)
	return deadEnd{}
}

// Longest trace context that is carried on, in bytes: longer ones are not W3C's.
const (
	maxTraceparent = 128
	maxTracestate  = 512
)

// readTrace takes the trace context over if it may be one: it goes into the journal and to the services.
func readTrace(d *delivery.Delivery, h nats.Header) {
	if parent := first(h, messages.HeaderTraceparent); len(parent) <= maxTraceparent && printable(parent) {
		d.Traceparent = parent
		if state := first(h, messages.HeaderTracestate); len(state) <= maxTracestate && printable(state) {
			d.Tracestate = state
		}
	}
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func first(h nats.Header, key string) string {
	if values := h[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// newIncarnation is 96 random bits.
func newIncarnation() string {
	var bits [12]byte
	binary.LittleEndian.PutUint64(bits[:8], rand.Uint64())
	binary.LittleEndian.PutUint32(bits[8:], rand.Uint32())
	return base64.RawURLEncoding.EncodeToString(bits[:])
}
