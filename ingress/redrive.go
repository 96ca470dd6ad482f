package ingress

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// ErrNotRedrivable: this dead letter can never be redriven unchanged.
var ErrNotRedrivable = errors.New("not redrivable: publish a corrected message instead")

// Redrive publishes the original message again, deletes the dead letter, and returns the new sequence of the message. A crash
// in between leaves both. A second redrive within two minutes (dedupeWindow) is detected as a duplicate. After that the message
// is stored again: a created message is a duplicate to its order, but a signal is a second signal, and a retry, a skip or a
// cancel a second decision. Headers for the server (Nats-…) are not published again: they were meant for the first publish. An
// error that wraps ErrNoDeadLetter or ErrNotRedrivable concerns this dead letter only.
func (d *DeadLetters) Redrive(ctx context.Context, seq uint64) (uint64, error) {
	dead, err := d.Get(ctx, seq)
	if err != nil {
		return 0, err
	}
	ack, err := d.republish(ctx, dead)
	if err != nil {
		return 0, fmt.Errorf("redrive dead letter %d: %w", seq, err)
	}
	if err := d.delete(ctx, seq); err != nil {
		return 0, fmt.Errorf("redrive dead letter %d: its message is published but it is not deleted: %w", seq, err)
	}
	return ack.Sequence, nil
}

// Discard deletes a dead letter for good. The error wraps ErrNoDeadLetter if there is none.
func (d *DeadLetters) Discard(ctx context.Context, seq uint64) error {
	if _, err := d.Get(ctx, seq); err != nil {
		return err
	}
	if err := d.delete(ctx, seq); err != nil {
		return fmt.Errorf("discard dead letter %d: %w", seq, err)
	}
	return nil
}

func (d *DeadLetters) delete(ctx context.Context, seq uint64) error {
	stream, err := d.js.Stream(ctx, messages.StreamDead)
	if err != nil {
		return err
	}
	return stream.DeleteMsg(ctx, seq)
}

func (d *DeadLetters) republish(ctx context.Context, dead *DeadLetter) (*jetstream.PubAck, error) {
	switch {
	case dead.Foreign:
		return nil, fmt.Errorf("%s: %w", dead.Reason, ErrNotRedrivable)
	case dead.unreadableHeaders:
		return nil, fmt.Errorf("unreadable headers: %w", ErrNotRedrivable)
	}
	m := nats.NewMsg(dead.Subject)
	m.Data = dead.Body
	for name, values := range dead.Header {
		if !strings.HasPrefix(name, "Nats-") {
			m.Header[name] = values
		}
	}
	// Clients use order ids as message ids. Those contain no colon.
	m.Header[nats.MsgIdHdr] = []string{fmt.Sprintf("redrive:%d:%d", dead.Sequence, dead.Stored.UnixNano())}
	ack, err := publish(ctx, d.js, m)
	if tooLargeOrInvalid(err) {
		err = fmt.Errorf("%w: %w", err, ErrNotRedrivable)
	}
	return ack, err
}

// tooLargeOrInvalid reports whether the message itself is the reason why it was refused.
func tooLargeOrInvalid(err error) bool {
	switch natsclient.ErrorCode(err) {
	case jetstream.JSErrCodeStreamMessageExceedsMaximum, natsclient.ErrorCodeHeaderTooLarge:
		return true
	}
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject)
}
