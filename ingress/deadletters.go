package ingress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// ErrNoDeadLetter: there is no dead letter with that sequence.
var ErrNoDeadLetter = errors.New("no such dead letter")

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

// List returns the first limit dead letters that match, in the order in which they were stored. A limit of 0 is none.
func (d *DeadLetters) List(ctx context.Context, filter DeadFilter, limit int) ([]*DeadLetter, error) {
	subject := messages.SubjectDead + "*"
	if filter.OrderID != "" {
		subject = messages.SubjectDead + string(filter.OrderID)
	}
	want := strings.ToLower(filter.Reason)
	var found []*DeadLetter
	for from := max(1, filter.From); limit == 0 || len(found) < limit; {
		m, err := d.lookup.get(ctx, messages.StreamDead, messageRequest{Seq: from, NextFor: subject})
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		if m == nil {
			break
		}
		from = m.Seq + 1
		letter, err := readDeadLetter(m)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		if strings.Contains(strings.ToLower(letter.Reason), want) {
			found = append(found, letter)
		}
	}
	return found, nil
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
	return readDeadLetter(m)
}

// Redrive publishes the original message again and then deletes the dead letter; it returns the new sequence of the
// message. A crash in between leaves both; sent back again within two minutes the message is recognized, later it is
// delivered twice, which the order notices. Headers for the server alone (Nats-…) are not sent back: they were meant
// for the first time.
func (d *DeadLetters) Redrive(ctx context.Context, seq uint64) (uint64, error) {
	letter, err := d.Get(ctx, seq)
	if err != nil {
		return 0, err
	}
	if letter.unreadable {
		return 0, fmt.Errorf("redrive dead letter %d: its headers cannot be read: publish it again in another form", seq)
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
	if err != nil {
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
