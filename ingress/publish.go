package ingress

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natsclient"
)

var (
	// ErrNoStream: no stream takes the subject; nothing is stored.
	ErrNoStream = errors.New("no stream takes the message: is a node running, which creates the streams?")
	// ErrAckTimeout: the message may be stored.
	ErrAckTimeout = errors.New("publish ack timed out; the message may be stored; retry")
	// ErrDisconnected: there is no connection; nothing was sent.
	ErrDisconnected = natsclient.ErrDisconnected
	// ErrClosed: the publisher was closed before the ack arrived.
	ErrClosed = natsclient.ErrClosed
)

// publish publishes m and waits for its ack, 5 s at most.
func publish(ctx context.Context, js jetstream.JetStream, m *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	return ack, natsclient.Refused(js.Conn(), m.Subject, publishError(err))
}

// publishMarked publishes m with that reply subject, as a message of a batch if it has a mark.
func publishMarked(nc *nats.Conn, m *nats.Msg, to natsclient.ReplyTo, mark natsclient.Mark) error {
	for _, name := range []string{natsclient.HeaderBatchID, natsclient.HeaderBatchSequence, natsclient.HeaderBatchCommit} {
		delete(m.Header, name) // of a refused batch
	}
	if mark.ID != "" {
		m.Header[natsclient.HeaderBatchID], m.Header[natsclient.HeaderBatchSequence] = []string{mark.ID}, []string{mark.Sequence}
	}
	if mark.Commit {
		m.Header[natsclient.HeaderBatchCommit] = []string{"1"}
	}
	m.Reply = to.String()
	return nc.PublishMsg(m)
}

// publishError translates the errors of natsclient and nats.go.
func publishError(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return ErrNoStream
	case errors.Is(err, natsclient.ErrNoReply), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return ErrAckTimeout
	}
	return natsclient.SendError(err)
}
