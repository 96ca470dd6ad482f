package journal

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// ErrConflict is wrapped by the error of an append that another entry of the order forestalled, and of one whose
// reply was lost: read the order again before deciding anything.
var ErrConflict = errors.New("journal conflict")

// ErrClosed is wrapped by the failure of an append that was handed to a closed journal.
var ErrClosed = errors.New("journal is closed")

var (
	errDown  = errors.New("the connection to NATS is down and the append was not sent; check that NATS is reachable")
	errAway  = errors.New("NATS is away: not sent; check that it is reachable")
	errStore = errors.New("no stream takes ORDER_EVENT.*; check that the stream ORDER_EVENTS exists, has a leader, and that this client may publish to it")

	// errFence and errLost are the two ways to a conflict.
	errFence = fmt.Errorf("%w: another entry came first", ErrConflict)
	errLost  = fmt.Errorf("%w: the reply was lost", ErrConflict)
)

// infrastructure says that the append was certainly not stored, and not because of its fence.
func infrastructure(err error) error {
	return &delivery.Failure{Kind: messages.Infrastructure, Err: err}
}

// published types an error of the client library's publish. All but the listed ones can come from a write that got
// part of the way, so the append may yet be stored.
func published(err error) error {
	switch {
	case away(err):
		return infrastructure(errDown)
	case errors.Is(err, nats.ErrMaxPayload):
		return infrastructure(fmt.Errorf("the entry is larger than the server's max_payload; raise it there: %w", err))
	case errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg):
		return infrastructure(err)
	}
	return fmt.Errorf("%w (%w)", errLost, err)
}

// away reports whether the client library refused to send for want of a connection.
func away(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// plain puts such a refusal in words that say what is wrong: the library speaks of the limit of a buffer.
func plain(err error) error {
	if away(err) {
		return errAway
	}
	return err
}
