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

// rejection says why a message becomes a dead letter; the zero value says that it does not.
type rejection struct {
	class, reason string
}

func rejectf(class, format string, args ...any) rejection {
	return rejection{class: class, reason: fmt.Sprintf(format, args...)}
}

// decode fills the delivery from the message.
func decode(d *delivery.Delivery, m *nats.Msg) rejection {
	if d.Stream == messages.StreamTimers {
		return decodeWake(d, m)
	}
	id, err := messages.IDFromSubject(messages.SubjectOrder, m.Subject)
	if err != nil {
		return rejectf(classSubject, "%v", err)
	}
	d.OrderID = id
	if m.Header == nil && m.Size() > len(m.Subject)+len(m.Reply)+len(m.Data) {
		return rejectf(classUndecodable, "unreadable headers")
	}
	if len(m.Data) > messages.MaxBody {
		return rejectf(classTooLarge, "the body has %d bytes: at most %d are allowed", len(m.Data), messages.MaxBody)
	}
	copyTrace(d, m.Header)
	d.Type = typeOfHeader(headerValue(m.Header, messages.HeaderType))
	return decodeBody(d, headerValue(m.Header, messages.HeaderContentType), m.Data)
}

// typeOfHeader returns a known type as a constant, so that a delivery does not keep the whole header block in memory.
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

func decodeBody(d *delivery.Delivery, contentType string, body []byte) rejection {
	var err error
	switch d.Type {
	case messages.TypeCreated:
		return decodeCreated(d, contentType, body)
	case messages.TypeCancel:
		d.Cancel, err = messages.DecodeCancel(contentType, body)
	case messages.TypeSignal:
		d.Signal, err = messages.DecodeSignal(contentType, body)
	case messages.TypeRetry:
		_, err = messages.DecodeRetry(contentType, body)
	case messages.TypeSkip:
		d.Skip, err = messages.DecodeSkip(contentType, body)
	default:
		return rejectf(classUnknownType, "header %s is %q: want %s, %s, %s, %s or %s", messages.HeaderType, truncate(string(d.Type), 80),
			messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip)
	}
	if err != nil {
		return rejectf(classUndecodable, "%v", err)
	}
	return rejection{}
}

// decodeCreated rejects a message that does not identify its order. An invalid order is delivered: the engine
// accepts it and ends it as rejected, so that its client finds it by id.
func decodeCreated(d *delivery.Delivery, contentType string, body []byte) rejection {
	created, err := messages.DecodeCreated(contentType, body)
	if err != nil {
		return rejectf(classUndecodable, "%v", err)
	}
	if created.OrderId != "" && created.OrderId != string(d.OrderID) {
		return rejectf(classMismatch, "order_id is %q and the subject ends in %q: they must be equal", truncate(created.OrderId, 80), d.OrderID)
	}
	messages.Normalize(created)
	d.Invalid = messages.Validate(created, d.OrderID)
	created.OrderId = string(d.OrderID)
	d.Created = created
	return rejection{}
}

func decodeWake(d *delivery.Delivery, m *nats.Msg) rejection {
	d.Type = messages.TypeWake
	id, err := messages.IDFromSubject(messages.SubjectWake, m.Subject)
	if err != nil {
		return rejectf(classSubject, "%v", err)
	}
	d.OrderID = id
	park := headerValue(m.Header, messages.HeaderPark)
	if d.Park, err = strconv.ParseUint(park, 10, 64); err != nil || d.Park == 0 {
		return rejectf(classUndecodable, "header %s of a wake-up is %q: want the journal sequence of the OrderParked", messages.HeaderPark, truncate(park, 80))
	}
	d.Snapshot = m.Data
	copyTrace(d, m.Header)
	return rejection{}
}

// Longest W3C trace context, in bytes. Longer headers are ignored.
const (
	maxTraceparent = 128
	maxTracestate  = 512
)

// copyTrace copies the trace context if it is well formed: it is passed to the journal and the services.
func copyTrace(d *delivery.Delivery, h nats.Header) {
	if parent := headerValue(h, messages.HeaderTraceparent); len(parent) <= maxTraceparent && printable(parent) {
		d.Traceparent = parent
		if state := headerValue(h, messages.HeaderTracestate); len(state) <= maxTracestate && printable(state) {
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

func headerValue(h nats.Header, key string) string {
	if values := h[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// newIncarnation returns 96 random bits.
func newIncarnation() string {
	var bits [12]byte
	binary.LittleEndian.PutUint64(bits[:8], rand.Uint64())
	binary.LittleEndian.PutUint32(bits[8:], rand.Uint32())
	return base64.RawURLEncoding.EncodeToString(bits[:])
}
