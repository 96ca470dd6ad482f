package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Read reads the ledger from the stream's leader: every record that was stored when it began counts. The error wraps
// jetstream.ErrStreamNotFound if there is no ledger.
func Read(ctx context.Context, js jetstream.JetStream) (*State, error) {
	s, _, err := read(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return s, nil
}

// read returns the number of records too that a summary would replace.
func read(ctx context.Context, js jetstream.JetStream) (s *State, records int, err error) {
	s = &State{}
	api := natsclient.NewAPI(js)
	var all []stored
	for {
		first, last, err := bounds(ctx, js)
		if err != nil {
			return nil, 0, err
		}
		for s.last < last {
			m, err := next(ctx, api, s.last+1)
			if err != nil {
				return nil, 0, err
			}
			if m == nil || m.Sequence > last {
				s.last = last
				break
			}
			s.last = m.Sequence
			all = append(all, s.take(m))
		}
		// If messages were replaced meanwhile, the summary that replaced them is after last.
		now, _, err := bounds(ctx, js)
		if err != nil {
			return nil, 0, err
		}
		if now == first {
			break
		}
	}
	s.fold(all)
	for _, m := range all {
		if m.record != nil && m.record.partOf != s.summary.GetId() {
			records++
		}
	}
	return s, records, nil
}

// take decodes a message, and notes it if no node stored it.
func (s *State) take(m *natsclient.StoredMsg) stored {
	if m.Subject == messages.SubjectLedgerSummary {
		s.lastSummary = m.Sequence
	}
	d := decode(m)
	if d.summary == nil && d.record == nil {
		s.Foreign = append(s.Foreign, ForeignMessage{m.Sequence, strings.Clone(m.Subject)})
	}
	return d
}

// bounds returns the stream's first and last sequence.
func bounds(ctx context.Context, js jetstream.JetStream) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, messages.StreamLedger)
	if err != nil {
		return 0, 0, err
	}
	state := stream.CachedInfo().State
	return state.FirstSeq, state.LastSeq, nil
}

// next returns the first message from the sequence on; nil if there is none.
func next(ctx context.Context, api natsclient.API, from uint64) (*natsclient.StoredMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return api.GetFromLeader(ctx, messages.StreamLedger, natsclient.Get{Sequence: from, NextBySubject: messages.SubjectLedger + "*"})
}
