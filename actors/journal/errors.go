package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// ErrConflict is wrapped by the error of an append if another entry of the order was stored before it, or if its reply
// was lost: read the order again before deciding anything.
var ErrConflict = errors.New("journal conflict")

// ErrClosed is wrapped by the failure of an append to a closed journal.
var ErrClosed = errors.New("journal is closed")

var (
	errNoStream = errors.New("no stream takes ORDER_EVENT.*; check that the stream ORDER_EVENTS exists, has a leader, and that this client may publish to it")

	// errFenced and errLost are the two causes of a conflict.
	errFenced = fmt.Errorf("%w: another entry was stored first", ErrConflict)
	errLost   = fmt.Errorf("%w: the reply was lost", ErrConflict)
)

// infrastructure marks an append that was certainly not stored for a reason other than its fence, and a read that failed.
func infrastructure(err error) error {
	return &delivery.Failure{Kind: messages.Infrastructure, Err: err}
}

// classify returns the error of an append by the result of its publish.
func classify(ack jetstream.PubAck, err error) error {
	switch {
	case err == nil && ack.Stream == messages.StreamEvents:
		return nil
	case err == nil:
		return infrastructure(fmt.Errorf("stream %q took the append instead of %s; remove ORDER_EVENT.* from its subjects", ack.Stream, messages.StreamEvents))
	case natsclient.WrongLastSequence(err):
		return fmt.Errorf("%w (%d)", errFenced, natsclient.ErrorCode(err))
	case natsclient.TooLarge(err):
		// The journal is there: only this order's entry does not fit.
		return &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf("the entry is larger than the server's max_payload, or a limit of stream %s; raise it there: %w", messages.StreamEvents, err)}
	case natsclient.ErrorCode(err) != 0:
		return infrastructure(err)
	case errors.Is(err, nats.ErrNoResponders):
		return infrastructure(errNoStream)
	case errors.Is(err, natsclient.ErrClosed) && errors.Is(err, natsclient.ErrNotSent):
		return infrastructure(ErrClosed)
	case errors.Is(err, natsclient.ErrNotSent):
		return infrastructure(err)
	}
	return fmt.Errorf("%w (%w)", errLost, err)
}

// readFailure adds the failure kind to the error of a read: Infrastructure, unless the caller cancelled it.
func readFailure(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, nats.ErrNoResponders):
		return infrastructure(errNoStream)
	}
	return infrastructure(err)
}
