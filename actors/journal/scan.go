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
	// scanIdle is how long nothing comes before the leader is asked whether there is anything left.
	scanIdle = 250 * time.Millisecond
	// scanBytes bounds what is fetched ahead. There is no bound on messages: the client library makes just so much room
	// for them, and drops one when a word of the server comes on top.
	scanBytes = 8 << 20
	// farewell is how long the server may take to remove a consumer that is used no more.
	farewell = 500 * time.Millisecond
)

// Scan calls visit for each entry that is in the journal when it is called, of all orders, in the order of storing. It
// stops at the first error that visit returns and returns it; its own errors are as those of Read.
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
			// A server that lags, or the last messages are deleted: the leader knows.
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
		e, err := scanned(m)
		switch {
		case err != nil:
			return failed(err)
		case e.Sequence > last:
			return nil
		}
		if err := visit(e); err != nil {
			return err
		}
		from = e.Sequence + 1
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

// removeConsumer takes the consumer away from the server, which else would keep it until it is inactive for long: each one
// makes every append dearer. It does so also when the context has ended.
func removeConsumer(ctx context.Context, js jetstream.JetStream, c jetstream.Consumer) {
	if !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	// If it fails the consumer goes later, by itself.
	_ = js.DeleteConsumer(ctx, messages.StreamEvents, c.CachedInfo().Name)
}

func scanned(m jetstream.Msg) (Entry, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Entry{}, infrastructure(err)
	}
	s := &natsclient.StoredMsg{Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Data: m.Data()}
	id, err := messages.IDFromSubject(messages.SubjectEvent, m.Subject())
	if err != nil {
		return Entry{}, poison(messages.OrderID(m.Subject()), s.Sequence, err)
	}
	return entryOf(id, s)
}
