package natsclient

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrNotSent: the server certainly did not get the request.
	ErrNotSent = errors.New("not sent")
	// ErrDisconnected: there is no connection. It wraps ErrNotSent.
	ErrDisconnected = fmt.Errorf("NATS is unreachable: %w; check that it is running and that this node is connected", ErrNotSent)
	// ErrNoReply: the reply did not arrive in time, or the connection was lost before. The server may have acted on the
	// request.
	ErrNoReply = errors.New("no reply")
	// ErrClosed: the Requester was closed. With ErrNotSent it was closed before the request, with ErrNoReply after.
	ErrClosed = errors.New("closed")

	errTimeout        = fmt.Errorf("%w within the time limit", ErrNoReply)
	errConnectionLost = fmt.Errorf("connection lost: %w", ErrNoReply)
	errClosedBefore   = fmt.Errorf("%w: %w", ErrClosed, ErrNotSent)
	errClosedAfter    = fmt.Errorf("%w: %w", ErrClosed, ErrNoReply)
)

// Error codes of the server that package jetstream does not name.
const (
	ErrorCodeNoStorage           jetstream.ErrorCode = 10047
	ErrorCodeMessageTooLarge     jetstream.ErrorCode = 10054
	ErrorCodeHeaderTooLarge      jetstream.ErrorCode = 10097
	ErrorCodeAtomicDisabled      jetstream.ErrorCode = 10174
	ErrorCodeAtomicBatchTooLarge jetstream.ErrorCode = 10199
)

// ErrorCode is the code of the server's refusal, or 0 if err is something else.
func ErrorCode(err error) jetstream.ErrorCode {
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode
	}
	return 0
}

// WrongLastSequence reports whether the server refused a message, or a batch, because the last message of its subject is
// not the expected one. On replicated streams the server has a second code, for another write to the subject that is
// still in progress.
func WrongLastSequence(err error) bool {
	code := ErrorCode(err)
	return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// TooLarge reports whether a message was refused for its size, by nats.go or by the server.
func TooLarge(err error) bool {
	code := ErrorCode(err)
	return errors.Is(err, nats.ErrMaxPayload) || code == ErrorCodeMessageTooLarge || code == ErrorCodeHeaderTooLarge
}

// SendError wraps ErrNotSent around an error of a publish of nats.go if nothing can have been sent. Any other error may be
// from an incomplete write.
func SendError(err error) error {
	for _, disconnected := range []error{nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrReconnectBufExceeded, nats.ErrDisconnected} {
		if errors.Is(err, disconnected) {
			return ErrDisconnected // nats.go names the limit of a buffer
		}
	}
	if errors.Is(err, ErrNotSent) {
		return err
	}
	for _, refused := range []error{nats.ErrMaxPayload, nats.ErrBadSubject, nats.ErrHeadersNotSupported, nats.ErrBadHeaderMsg} {
		if errors.Is(err, refused) {
			return fmt.Errorf("%w: %w", ErrNotSent, err)
		}
	}
	return err
}
