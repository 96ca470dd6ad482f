package journal

import (
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// Field numbers of orderly/v1/journal.proto that are written by hand.
const (
	entryOrderID     = 1
	entryNumber      = 2
	entryTime        = 3
	entryNode        = 4
	entryTraceparent = 5
	entryEvents      = 6
	entryPrevious    = 7
	entryCheckpoint  = 8

	checkpointVersion = 1
	checkpointFirst   = 2

	timeSeconds = 1
	timeNanos   = 2

	eventAccepted      = 1
	eventStepCompleted = 2
	eventCompleted     = 12

	acceptedOrder       = 1
	acceptedPlan        = 2
	acceptedDriver      = 3
	acceptedIncarnation = 4

	completedStep    = 1
	completedData    = 2
	completedAttempt = 3
	completedSignal  = 4
	completedSkipped = 5
	completedTook    = 6
	completedDropped = 7
)

// Encode appends the encoded entry to dst. It encodes the events that every order has by hand, field by field, and the
// others with the protobuf library: at five entries an order the library's encoder would be the most expensive part of
// the engine. Plans are encoded once and must not change.
func Encode(dst []byte, e *messages.JournalEntry) ([]byte, error) {
	for _, text := range [...]string{e.GetOrderId(), e.GetNode(), e.GetTraceparent()} {
		if !utf8.ValidString(text) {
			return dst, fmt.Errorf("encode entry %d of order %s: %q is not UTF-8", e.GetNumber(), e.GetOrderId(), text)
		}
	}
	body := appendString(dst, entryOrderID, e.GetOrderId())
	body = appendUint(body, entryNumber, uint64(e.GetNumber()))
	if e.Time != nil {
		body = appendMessage(body, entryTime, e.Time, appendTime)
	}
	body = appendString(body, entryNode, e.GetNode())
	body = appendString(body, entryTraceparent, e.GetTraceparent())
	var err error
	for _, event := range e.GetEvents() {
		body, err = appendNested(body, entryEvents, event, appendEvent)
		if err != nil {
			return dst, fmt.Errorf("encode entry %d of order %s: %w", e.GetNumber(), e.GetOrderId(), err)
		}
	}
	body = appendUint(body, entryPrevious, e.GetPrevious())
	if e.Checkpoint != nil {
		body, err = appendNested(body, entryCheckpoint, e.Checkpoint, marshal[*messages.Checkpoint])
		if err != nil {
			return dst, fmt.Errorf("encode entry %d of order %s: %w", e.GetNumber(), e.GetOrderId(), err)
		}
	}
	return body, nil
}

func appendTime(b []byte, t *timestamppb.Timestamp) []byte {
	b = appendUint(b, timeSeconds, uint64(t.GetSeconds()))
	return appendUint(b, timeNanos, uint64(t.GetNanos()))
}

func appendEvent(b []byte, e *messages.Event) ([]byte, error) {
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		return appendNested(b, eventAccepted, k.Accepted, appendAccepted)
	case *messages.Event_StepCompleted:
		return appendMessage(b, eventStepCompleted, k.StepCompleted, appendStepCompleted), nil
	case *messages.Event_Completed:
		return protowire.AppendBytes(protowire.AppendTag(b, eventCompleted, protowire.BytesType), nil), nil
	}
	return marshal(b, e)
}

func appendAccepted(b []byte, a *messages.OrderAccepted) (_ []byte, err error) {
	if a.Order != nil {
		if b, err = appendNested(b, acceptedOrder, a.Order, marshal[*messages.OrderCreated]); err != nil {
			return b, err
		}
	}
	if a.Plan != nil {
		plan, err := encodedPlan(a.Plan)
		if err != nil {
			return b, err
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, acceptedPlan, protowire.BytesType), plan)
	}
	if a.Driver != nil {
		if b, err = appendNested(b, acceptedDriver, a.Driver, marshal[*messages.Source]); err != nil {
			return b, err
		}
	}
	return appendString(b, acceptedIncarnation, a.GetIncarnation()), nil
}

func appendStepCompleted(b []byte, c *messages.StepCompleted) []byte {
	b = appendString(b, completedStep, c.GetStep())
	b = appendString(b, completedData, c.GetData())
	b = appendUint(b, completedAttempt, uint64(c.GetAttempt()))
	b = appendString(b, completedSignal, c.GetSignal())
	if c.GetSkipped() {
		b = appendUint(b, completedSkipped, 1)
	}
	b = appendUint(b, completedTook, c.GetTookUs())
	return appendString(b, completedDropped, c.GetDropped())
}

// cachedPlan is a plan with its encoding. A node has one plan, so the last one is cached.
type cachedPlan struct {
	of   *messages.Plan
	body []byte
}

var lastEncodedPlan atomic.Pointer[cachedPlan]

func encodedPlan(p *messages.Plan) ([]byte, error) {
	if last := lastEncodedPlan.Load(); last != nil && last.of == p {
		return last.body, nil
	}
	body, err := proto.Marshal(p)
	if err != nil {
		return nil, err
	}
	lastEncodedPlan.Store(&cachedPlan{of: p, body: body})
	return body, nil
}

func marshal[M proto.Message](b []byte, m M) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendMessage[M any](b []byte, field protowire.Number, m M, appendTo func([]byte, M) []byte) []byte {
	b, _ = appendNested(b, field, m, func(b []byte, m M) ([]byte, error) { return appendTo(b, m), nil })
	return b
}

// appendNested writes a message with its length before it. Most are shorter than 128 bytes, so one byte is reserved for the
// length, and the message is moved when it needs more.
func appendNested[M any](b []byte, field protowire.Number, m M, appendTo func([]byte, M) ([]byte, error)) ([]byte, error) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	begin := len(b)
	b, err := appendTo(b, m)
	if err != nil {
		return b, err
	}
	size := len(b) - begin
	more := protowire.SizeVarint(uint64(size)) - 1
	for range more {
		b = append(b, 0)
	}
	if more > 0 {
		copy(b[begin+more:], b[begin:begin+size])
	}
	protowire.AppendVarint(b[:begin-1], uint64(size))
	return b, nil
}
