package ingress

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

var (
	// ErrNoDeadLetter: there is no dead letter with that sequence.
	ErrNoDeadLetter = errors.New("no such dead letter")
	// ErrNotRedrivable: this dead letter can never be sent back as it is; others can.
	ErrNotRedrivable = errors.New("publish it again in another form")
)

// How the server refuses a message for its size.
const (
	codeMessageTooLarge = 10054
	codeHeaderTooLarge  = 10097
)

// DeadLetters shows dead letters and sends them back. Close it in the end.
type DeadLetters struct {
	js      jetstream.JetStream
	lookup  *Lookup
	courier *courier
}

// NewDeadLetters returns the dead letters of the server js is connected to.
func NewDeadLetters(js jetstream.JetStream) (*DeadLetters, error) {
	c, err := newCourier(js.Conn(), requestTimeout)
	if err != nil {
		return nil, err
	}
	return &DeadLetters{js: js, lookup: NewLookup(js), courier: c}, nil
}

// Close ends what the dead letters hold on to; the connection stays open.
func (d *DeadLetters) Close() { d.courier.close() }

// DeadFilter chooses dead letters. The zero value chooses all.
type DeadFilter struct {
	// OrderID of the original subject.
	OrderID messages.OrderID
	// Reason has to contain this, in any case of letters.
	Reason string
	// From is the least sequence.
	From uint64
}

// All yields the dead letters that match, in the order in which they were stored. Each is read when it is asked for, and
// none is kept. An error is the last that is yielded.
func (d *DeadLetters) All(ctx context.Context, filter DeadFilter) iter.Seq2[*DeadLetter, error] {
	subject := messages.SubjectDead + "*"
	if filter.OrderID != "" {
		subject = messages.SubjectDead + string(filter.OrderID)
	}
	want := strings.ToLower(filter.Reason)
	return func(yield func(*DeadLetter, error) bool) {
		for from := max(1, filter.From); ; {
			letter, err := d.next(ctx, subject, from)
			switch {
			case err != nil:
				yield(nil, fmt.Errorf("list dead letters: %w", err))
				return
			case letter == nil:
				return
			}
			from = letter.Sequence + 1
			if strings.Contains(strings.ToLower(letter.Reason), want) && !yield(letter, nil) {
				return
			}
		}
	}
}

// next reads the first dead letter of a subject at or after a sequence, nil if there is none.
func (d *DeadLetters) next(ctx context.Context, subject string, from uint64) (*DeadLetter, error) {
	m, err := d.lookup.get(ctx, messages.StreamDead, messageRequest{Seq: from, NextFor: subject})
	if err != nil || m == nil {
		return nil, err
	}
	return readDeadLetter(m), nil
}

// Get returns one dead letter; the error wraps ErrNoDeadLetter when there is none.
func (d *DeadLetters) Get(ctx context.Context, seq uint64) (*DeadLetter, error) {
	m, err := d.lookup.get(ctx, messages.StreamDead, messageRequest{Seq: seq})
	if err != nil {
		return nil, fmt.Errorf("get dead letter %d: %w", seq, err)
	}
	if m == nil {
		return nil, fmt.Errorf("get dead letter %d: %w", seq, ErrNoDeadLetter)
	}
	return readDeadLetter(m), nil
}

// Redrive publishes the original message again and then deletes the dead letter; it returns the new sequence of the
// message. A crash in between leaves both. Sent back again within two minutes (dedupeWindow) the message is recognized,
// later it is a message of its own: nothing that outlives an inbox message tells that it was this one. To the order a
// created message is a duplicate then, but a signal is a second signal, and a retry, a skip or a cancel a second decision.
// Headers for the server alone (Nats-…) are not sent back: they were meant for the first time. An error that wraps
// ErrNoDeadLetter or ErrNotRedrivable is about this dead letter alone.
func (d *DeadLetters) Redrive(ctx context.Context, seq uint64) (uint64, error) {
	letter, err := d.Get(ctx, seq)
	if err != nil {
		return 0, err
	}
	if letter.Foreign {
		return 0, fmt.Errorf("redrive dead letter %d: %s: %w", seq, letter.Reason, ErrNotRedrivable)
	}
	if letter.unreadable {
		return 0, fmt.Errorf("redrive dead letter %d: its headers cannot be read: %w", seq, ErrNotRedrivable)
	}
	m := nats.NewMsg(letter.Subject)
	m.Data = letter.Body
	for name, values := range letter.Header {
		if !strings.HasPrefix(name, "Nats-") {
			m.Header[name] = values
		}
	}
	// The colons keep it apart from the ids clients use, which are those of orders.
	m.Header[nats.MsgIdHdr] = []string{fmt.Sprintf("redrive:%d:%d", seq, letter.Stored.UnixNano())}
	ack, err := d.courier.deliver(ctx, m)
	switch {
	case unfit(err):
		return 0, fmt.Errorf("redrive dead letter %d: %w: %w", seq, err, ErrNotRedrivable)
	case err != nil:
		return 0, fmt.Errorf("redrive dead letter %d: %w", seq, err)
	}
	stream, err := d.js.Stream(ctx, messages.StreamDead)
	if err == nil {
		err = stream.DeleteMsg(ctx, seq)
	}
	if err != nil {
		return 0, fmt.Errorf("redrive dead letter %d: it is sent back but not deleted: %w", seq, err)
	}
	return ack.Sequence, nil
}

// unfit reports whether a message was refused for what it is.
func unfit(err error) bool {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused.ErrCode == codeMessageTooLarge || refused.ErrCode == codeHeaderTooLarge
	}
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject)
}
