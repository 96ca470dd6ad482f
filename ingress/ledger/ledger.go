package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// maxRuns is the largest number of runs of a message: their encoding is below messages.MinPayload.
	maxRuns = 16_384
	// summarizeAfter is how many messages there are for each message of a summary, at least, before the next one.
	summarizeAfter = 256
)

// Ledger appends to the stream, and summarizes it when it has grown.
type Ledger struct {
	js  jetstream.JetStream
	log *slog.Logger

	mu sync.Mutex
	// summarizeAt is the sequence of the stream from which on it is summarized.
	summarizeAt uint64
}

// New appends through js. The stream must exist.
func New(js jetstream.JetStream, log *slog.Logger) *Ledger { return &Ledger{js: js, log: log} }

// Append stores what became of the messages. After an error it may be stored; repeating it is harmless.
func (l *Ledger) Append(ctx context.Context, kind messages.LedgerKind, set Set) error {
	last := uint64(0)
	for part := range set.chunks(maxRuns) {
		sequence, err := l.publish(ctx, messages.SubjectLedgerRecord, &messages.LedgerRecord{Kind: kind, Runs: part.encode()})
		if err != nil {
			return fmt.Errorf("append to the ledger: %w", err)
		}
		last = sequence
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last < l.summarizeAt {
		return nil
	}
	if err := l.summarize(ctx); err != nil {
		l.log.Warn("ledger not summarized, it grows until a later attempt", "stream", messages.StreamLedger, "error", err)
		l.summarizeAt = last + summarizeAfter
	}
	return nil
}

// summarize replaces the messages of the ledger by a summary, if there are enough of them.
func (l *Ledger) summarize(ctx context.Context) error {
	s, records, err := read(ctx, l.js)
	if err != nil {
		return err
	}
	most := summarizeAfter * (1 + int(s.summary.GetParts()))
	if records < most {
		l.summarizeAt = s.last + uint64(most-records)
		return nil
	}
	next := &messages.LedgerSummary{
		Id: nuid.Next(), Through: s.last, Floor: s.Floor, WithoutEffect: s.Counts.WithoutEffect, DeadLettered: s.Counts.DeadLettered,
		HistoryDeleted: s.Counts.HistoryDeleted, WrittenOff: s.Counts.WrittenOff,
	}
	for part := range s.Set.chunks(maxRuns) {
		if _, err := l.publish(ctx, messages.SubjectLedgerRecord, &messages.LedgerRecord{PartOf: next.GetId(), Runs: part.encode()}); err != nil {
			return err
		}
		next.Parts++
	}
	sequence, err := l.publish(ctx, messages.SubjectLedgerSummary, next, jetstream.WithExpectLastSequencePerSubject(s.lastSummary))
	if natsclient.WrongLastSequence(err) { // another node summarized
		l.summarizeAt = s.last + summarizeAfter
		return nil
	}
	if err != nil {
		return err
	}
	l.summarizeAt = sequence + summarizeAfter*uint64(1+next.GetParts())
	return l.purge(ctx, next.GetThrough())
}

// purge deletes what a summary replaces.
func (l *Ledger) purge(ctx context.Context, through uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, messages.StreamLedger)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(through+1))
}

// publish returns the sequence of the stored message.
func (l *Ledger) publish(ctx context.Context, subject string, content proto.Message, opts ...jetstream.PublishOpt) (uint64, error) {
	m, err := encode(subject, content)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := l.js.PublishMsg(ctx, m, append(opts, jetstream.WithRetryAttempts(0))...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Begin stores the first summary if there is none. Its floor is the last sequence of the inbox now, 0 without an inbox: messages
// that left the inbox before, when there was no ledger, have no evidence. Several nodes may call it at once. It waits up to
// requestTimeout for the leader of a replicated stream, which has none at first.
func Begin(ctx context.Context, js jetstream.JetStream) error {
	l := New(js, slog.New(slog.DiscardHandler))
	for began := time.Now(); ; {
		begun, err := l.begin(ctx)
		switch noLeader := errors.Is(err, jetstream.ErrNoStreamResponse); {
		case begun || err != nil && !noLeader:
			return err
		case noLeader && time.Since(began) > requestTimeout:
			return err
		case noLeader:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(leaderInterval):
			}
		}
	}
}

// leaderInterval is how often a stream without a leader is tried again.
const leaderInterval = 100 * time.Millisecond

// begin reports whether there is a summary; otherwise another message was stored on its subject meanwhile.
func (l *Ledger) begin(ctx context.Context) (bool, error) {
	api := natsclient.NewAPI(l.js)
	m, err := api.GetFromLeader(ctx, messages.StreamLedger, natsclient.Get{LastBySubject: messages.SubjectLedgerSummary})
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	if m != nil && decode(m).summary != nil {
		return true, nil
	}
	s, err := Read(ctx, l.js)
	if err != nil || s.summary != nil {
		return err == nil, err
	}
	first := &messages.LedgerSummary{Id: nuid.Next()}
	inbox, err := l.js.Stream(ctx, messages.StreamOrders)
	switch {
	case err == nil:
		first.Floor = inbox.CachedInfo().State.LastSeq
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return false, err
	}
	_, err = l.publish(ctx, messages.SubjectLedgerSummary, first, jetstream.WithExpectLastSequencePerSubject(s.lastSummary))
	switch {
	case err == nil:
		return true, nil
	case natsclient.WrongLastSequence(err):
		return false, nil
	case errors.Is(err, context.DeadlineExceeded):
		return false, fmt.Errorf("begin the ledger: no answer within %s: %w", requestTimeout, err)
	}
	return false, fmt.Errorf("begin the ledger: %w", err)
}
