package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// scanTimeout bounds one request to the leader.
	scanTimeout = 10 * time.Second
	// scanIdle is the longest wait for a message before the leader is asked whether there is another.
	scanIdle = 250 * time.Millisecond
	// scanBytes bounds what is fetched ahead. The number of messages is not bounded: nats.go would buffer exactly that many,
	// and drop one if a status arrives between them.
	scanBytes = 8 << 20
	// deleteTimeout is the longest wait for the server to delete the consumer at the end.
	deleteTimeout = 500 * time.Millisecond
)

// Scan calls visit for each entry of all orders that is in the journal at the time of the call, in the order of the
// stream. It stops at the first error of visit and returns it; its own errors are those of Read. Messages that cannot be
// entries are passed over; that an entry follows the one before is not checked.
func Scan(ctx context.Context, js jetstream.JetStream, visit func(Entry) error) error {
	failed := func(err error) error { return fmt.Errorf("scan the journal: %w", err) }
	stream, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return failed(infrastructure(err))
	}
	last := stream.CachedInfo().State.LastSeq
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	api := natsclient.NewAPI(js)
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{InactiveThreshold: scanTimeout})
	if err != nil {
		return failed(infrastructure(err))
	}
	defer removeConsumer(ctx, js, consumer)
	feed, err := consumer.Messages(jetstream.PullMaxBytes(scanBytes))
	if err != nil {
		return failed(infrastructure(err))
	}
	defer feed.Stop()

	for from := uint64(1); from <= last; {
		m, err := feed.Next(jetstream.NextMaxWait(scanIdle))
		if ctx.Err() != nil {
			return failed(context.Cause(ctx))
		}
		if errors.Is(err, nats.ErrTimeout) {
			// Either the server lags, or the last messages are deleted: ask the leader.
			s, err := leaderNext(ctx, api, from)
			if err != nil {
				return failed(err)
			}
			if s == nil || s.Sequence > last {
				return nil
			}
			continue
		}
		if err != nil {
			return failed(infrastructure(err))
		}
		sequence, e, ok, err := decodeScanned(m)
		switch {
		case err != nil:
			return failed(err)
		case sequence > last:
			return nil
		case ok:
			if err := visit(e); err != nil {
				return err
			}
		}
		from = sequence + 1
	}
	return nil
}

// leaderNext asks the leader for the first message from a sequence on.
func leaderNext(ctx context.Context, api natsclient.API, from uint64) (*natsclient.StoredMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	s, err := api.GetFromLeader(ctx, messages.StreamEvents, natsclient.Get{Sequence: from, NextBySubject: messages.SubjectEvent + "*"})
	return s, readFailure(err)
}

// removeConsumer deletes the consumer, also when the context has ended: the server would keep it for another ten seconds, and
// each consumer makes every append more expensive.
func removeConsumer(ctx context.Context, js jetstream.JetStream, c jetstream.Consumer) {
	if !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	// If it fails the server deletes the consumer later.
	_ = js.DeleteConsumer(ctx, messages.StreamEvents, c.CachedInfo().Name)
}

// decodeScanned returns the message's sequence, and its entry if it has the form of one.
func decodeScanned(m jetstream.Msg) (sequence uint64, e Entry, ok bool, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return 0, Entry{}, false, infrastructure(err)
	}
	sequence = meta.Sequence.Stream
	id, err := messages.IDFromSubject(messages.SubjectEvent, m.Subject())
	if _, fenced := messages.Fence(m.Headers()); err != nil || !fenced {
		return sequence, Entry{}, false, nil //nolint:nilerr // a foreign message
	}
	e, err = entryOf(id, &natsclient.StoredMsg{Sequence: sequence, Time: meta.Timestamp, Data: m.Data()})
	return sequence, e, err == nil, nil
}
