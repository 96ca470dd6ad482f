package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// retryPause is the first pause before a lagging server is read again; it doubles up to retryPauseMax.
const (
	retryPause    = 2 * time.Millisecond
	retryPauseMax = 100 * time.Millisecond
)

// Read returns the entries that give the order's state, oldest first: all of them, or, if some have a checkpoint, the
// first one and those from the last checkpoint on; none if the order has none. They are at least as new as the stream
// leader's last entry of the order at the time of the call. fence is the Expected of an append after them: messages that no
// node stored are passed over. The error wraps a delivery.Failure: Infrastructure if the journal is away, Defect if only this
// order cannot be read, or is the context's if that was canceled.
func (j *Journal) Read(ctx context.Context, id messages.OrderID) (entries []Entry, fence uint64, err error) {
	return j.read(ctx, id, true)
}

// History returns all entries of the order without their checkpoints, otherwise as Read does. It takes one round trip for each of up
// to 256 entries. At most maxHistories of a journal are read at a time.
func (j *Journal) History(ctx context.Context, id messages.OrderID) ([]Entry, error) {
	select {
	case j.histories <- struct{}{}:
		defer func() { <-j.histories }()
	case <-ctx.Done():
		return nil, infrastructure(context.Cause(ctx))
	}
	entries, _, err := j.read(ctx, id, false)
	for _, e := range entries {
		e.Entry.Checkpoint = nil
	}
	return entries, err
}

const (
	// maxHistories bounds the histories that are read in full at the same time.
	maxHistories = 16
	// maxHistory bounds the entries of one order that are read, in bytes.
	maxHistory = 32 << 20
)

// tooLarge is the failure of a read of more than maxHistory.
func tooLarge() error {
	return &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf("its entries have more than %d bytes: a node does not read that much of one order", maxHistory)}
}

func (j *Journal) read(ctx context.Context, id messages.OrderID, short bool) (entries []Entry, fence uint64, err error) {
	entries, ok, err := j.walk(ctx, id, short)
	switch {
	case err != nil:
	case !ok:
		entries, fence, err = j.readPages(ctx, id, short)
	case len(entries) > 0:
		fence = entries[len(entries)-1].Sequence
	}
	if err != nil {
		for _, subject := range []string{j.directGet, j.leaderGet} {
			err = natsclient.Refused(j.api.Conn, subject, err)
		}
		return nil, 0, fmt.Errorf("read order %s: %w", id, err)
	}
	return entries, fence, nil
}

// Last returns the order's last entry, at least as new as the leader's; found is false if the order has none. Errors are
// those of Read.
func (j *Journal) Last(ctx context.Context, id messages.OrderID) (e Entry, found bool, err error) {
	entries, _, err := j.read(ctx, id, true)
	if err != nil || len(entries) == 0 {
		return Entry{}, false, err
	}
	return entries[len(entries)-1], true, nil
}

// unbroken reports whether the message is an entry that was stored right after the one at sequence previous.
func unbroken(s *natsclient.StoredMsg, previous uint64) bool {
	expected, ok := messages.Fence(s.Headers())
	return ok && expected == previous
}

// last asks the leader for the order's last message, nil if there is none.
func (j *Journal) last(ctx context.Context, id messages.OrderID) (*natsclient.StoredMsg, error) {
	ctx, cancel := j.bound(ctx)
	defer cancel()
	s, err := j.api.GetFromLeader(ctx, messages.StreamEvents, natsclient.Get{LastBySubject: messages.SubjectEvent + string(id)})
	if err != nil {
		return nil, readFailure(cause(ctx, err))
	}
	return s, nil
}

// bound limits the context to the time in which the last reply must arrive.
func (j *Journal) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, j.cfg.AckTimeout, fmt.Errorf("no complete reply within %s", j.cfg.AckTimeout))
}

// cause is why the context ended, or err if it has not.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxPaging is the largest number of orders that are read in pages at the same time: each keeps the server busy for
// milliseconds.
const maxPaging = 16

// pageMax and pageBytes bound one page.
const (
	pageMax   = 1000
	pageBytes = 4 << 20
)

// readPages reads the order in pages, and passes over what is not an entry. fence is the last sequence on its subject. A short read
// keeps of what it has read no more than Read returns.
func (j *Journal) readPages(ctx context.Context, id messages.OrderID, short bool) (entries []Entry, fence uint64, err error) {
	select {
	case j.paging <- struct{}{}:
		defer func() { <-j.paging }()
	case <-ctx.Done():
		return nil, 0, infrastructure(context.Cause(ctx))
	}
	p := &pages{journal: j, id: id, short: short, chain: NewChain(id)}
	for pause := retryPause; ; pause = min(2*pause, retryPauseMax) {
		// A server that lags may answer direct gets, so the leader is asked at the same time how far to read.
		leader := j.requestLast(ctx, id)
		err = p.read(ctx)
		last := <-leader
		switch {
		case err != nil:
			return nil, 0, err
		case last.err != nil:
			return nil, 0, last.err
		case p.end >= last.sequence:
			return p.entries, p.end, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, infrastructure(fmt.Errorf("its entry at sequence %d is not readable yet: %w", last.sequence, context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// lastSequence is the sequence of the leader's reply; 0 when the order's subject has no messages.
type lastSequence struct {
	sequence uint64
	err      error
}

func (j *Journal) requestLast(ctx context.Context, id messages.OrderID) <-chan lastSequence {
	answer := make(chan lastSequence, 1)
	go func() {
		s, err := j.last(ctx, id)
		if s == nil {
			s = &natsclient.StoredMsg{}
		}
		answer <- lastSequence{s.Sequence, err}
	}()
	return answer
}

// pages is a read of one order in pages.
type pages struct {
	journal *Journal
	id      messages.OrderID
	short   bool
	chain   *Chain
	entries []Entry
	// size is that of entries in bytes, firstSize that of the first one.
	size, firstSize int
	// end is the sequence of the last message read.
	end uint64
}

// read reads on to the last message.
func (p *pages) read(ctx context.Context) error {
	for {
		page, err := p.journal.reads.GetPage(ctx, p.journal.api, messages.StreamEvents, natsclient.Get{
			Sequence: p.end + 1, NextBySubject: messages.SubjectEvent + string(p.id), Batch: pageMax, MaxBytes: pageBytes,
		})
		switch {
		case err != nil && p.end > 0 && errors.Is(err, context.DeadlineExceeded):
			// The journal answered before: the messages of this order are too many.
			return &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf(
				"its messages in stream %s are too many to be read in time, up to sequence %d; \"orderly repair\" removes those that no node stored: %w", messages.StreamEvents, p.end, err)}
		case err != nil:
			return readFailure(err)
		}
		for i := range page.Msgs {
			p.take(&page.Msgs[i])
		}
		if p.size > maxHistory {
			return tooLarge()
		}
		if page.Pending == 0 || len(page.Msgs) == 0 {
			return nil
		}
	}
}

func (p *pages) take(s *natsclient.StoredMsg) {
	p.end = s.Sequence
	e, err := p.chain.Take(s)
	if err != nil {
		p.journal.foreign.passedOver(p.id, s.Sequence, err)
		return
	}
	checkpoint := e.Entry.GetCheckpoint()
	switch {
	case len(p.entries) == 0:
		p.firstSize = len(s.Data)
	case p.short && messages.CheckpointSupported(checkpoint) && checkpoint.GetFirst() == p.entries[0].Sequence:
		clear(p.entries[1:])
		p.entries, p.size = p.entries[:1], p.firstSize
	}
	p.entries, p.size = append(p.entries, e), p.size+len(s.Data)
}
