package ingress

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// ErrNoDeadLetter: there is no dead letter with that sequence.
var ErrNoDeadLetter = errors.New("no such dead letter")

// DeadLetters lists, reads and redrives dead letters.
type DeadLetters struct {
	js     jetstream.JetStream
	lookup *Lookup
}

// NewDeadLetters returns the dead letters of the server that js is connected to.
func NewDeadLetters(js jetstream.JetStream) *DeadLetters { return &DeadLetters{js, NewLookup(js)} }

// DeadFilter selects dead letters. The zero value selects all.
type DeadFilter struct {
	// OrderID of the original subject.
	OrderID messages.OrderID
	// Reason is a substring of the reason, without regard to case.
	Reason string
	// From is the lowest sequence.
	From uint64
}

// All yields the matching dead letters in the order of their sequences. It reads each when the caller asks for it, and keeps
// none. After an error it ends.
func (d *DeadLetters) All(ctx context.Context, filter DeadFilter) iter.Seq2[*DeadLetter, error] {
	get := natsclient.Get{Sequence: max(1, filter.From), NextBySubject: messages.SubjectDead + "*"}
	if filter.OrderID != "" {
		get.NextBySubject = messages.SubjectDead + string(filter.OrderID)
	}
	reason := strings.ToLower(filter.Reason)
	return func(yield func(*DeadLetter, error) bool) {
		for get := get; ; {
			m, err := d.lookup.get(ctx, messages.StreamDead, get)
			switch {
			case err != nil:
				yield(nil, fmt.Errorf("list dead letters: %w", err))
				return
			case m == nil:
				return
			}
			get.Sequence = m.Sequence + 1
			dead := decodeDeadLetter(m)
			if strings.Contains(strings.ToLower(dead.Reason), reason) && !yield(dead, nil) {
				return
			}
		}
	}
}

// Get returns one dead letter; the error wraps ErrNoDeadLetter if there is none.
func (d *DeadLetters) Get(ctx context.Context, seq uint64) (*DeadLetter, error) {
	m, err := d.lookup.get(ctx, messages.StreamDead, natsclient.Get{Sequence: seq})
	if err == nil && m == nil {
		err = ErrNoDeadLetter
	}
	if err != nil {
		return nil, fmt.Errorf("get dead letter %d: %w", seq, err)
	}
	return decodeDeadLetter(m), nil
}
