package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// retryPause is the first pause before a lagging server is read again; it doubles up to retryPauseMax.
const (
	retryPause    = 2 * time.Millisecond
	retryPauseMax = 100 * time.Millisecond
)

// Read returns the entries that give the order's state, oldest first: all of them, or, if some have a checkpoint, the
// first one and those from the last checkpoint on; none if the order has none. They are at least as new as the stream
// leader's last entry of the order at the time of the call. The error wraps a delivery.Failure, of kind Poison if an
// entry cannot be decoded and else Infrastructure, or is the context's if that was canceled.
func (j *Journal) Read(ctx context.Context, id messages.OrderID) ([]Entry, error) {
	return j.read(ctx, id, true)
}

// History returns all entries of the order, otherwise as Read does. It takes one round trip for each of up to 256 entries.
func (j *Journal) History(ctx context.Context, id messages.OrderID) ([]Entry, error) {
	return j.read(ctx, id, false)
}

func (j *Journal) read(ctx context.Context, id messages.OrderID, short bool) ([]Entry, error) {
	entries, ok, err := j.walk(ctx, id, short)
	if err == nil && !ok {
		entries, err = j.readPages(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read order %s: %w", id, err)
	}
	return entries, nil
}

// Last returns the order's last entry, from the stream's leader; found is false if the order has none. Errors are those
// of Read.
func (j *Journal) Last(ctx context.Context, id messages.OrderID) (e Entry, found bool, err error) {
	s, err := j.last(ctx, id)
	if err == nil && s != nil {
		e, err = entryOf(id, s)
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("read last entry of order %s: %w", id, err)
	}
	return e, s != nil, nil
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

// readPages reads the order in pages.
func (j *Journal) readPages(ctx context.Context, id messages.OrderID) (entries []Entry, err error) {
	select {
	case j.paging <- struct{}{}:
		defer func() { <-j.paging }()
	case <-ctx.Done():
		return nil, infrastructure(context.Cause(ctx))
	}
	for pause := retryPause; ; pause = min(2*pause, retryPauseMax) {
		// A server that lags may answer direct gets, so the leader is asked at the same time how far to read.
		leader := j.requestLast(ctx, id)
		entries, err = j.readFrom(ctx, id, entries)
		last := <-leader
		switch {
		case err != nil:
			return nil, err
		case last.err != nil:
			return nil, last.err
		case last.sequence == 0 || len(entries) > 0 && entries[len(entries)-1].Sequence >= last.sequence:
			return entries, nil
		}
		select {
		case <-ctx.Done():
			return nil, infrastructure(fmt.Errorf("its entry at sequence %d is not readable yet: %w", last.sequence, context.Cause(ctx)))
		case <-time.After(pause):
		}
	}
}

// lastSequence is the sequence of the leader's reply; 0 when the order has no entries.
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

// readFrom appends the entries after those given.
func (j *Journal) readFrom(ctx context.Context, id messages.OrderID, entries []Entry) ([]Entry, error) {
	for {
		get := natsclient.Get{Sequence: 1, NextBySubject: messages.SubjectEvent + string(id), Batch: pageMax, MaxBytes: pageBytes}
		if n := len(entries); n > 0 {
			get.Sequence = entries[n-1].Sequence + 1
		}
		page, err := j.reads.GetPage(ctx, j.api, messages.StreamEvents, get)
		if err != nil {
			return nil, readFailure(err)
		}
		further, err := decodeAll(id, page.Msgs)
		if err != nil {
			return nil, err
		}
		entries = append(entries, further...)
		if page.Pending == 0 || len(page.Msgs) == 0 {
			return entries, nil
		}
	}
}

func decodeAll(id messages.OrderID, found []natsclient.StoredMsg) ([]Entry, error) {
	entries := make([]Entry, 0, len(found))
	for i := range found {
		e, err := entryOf(id, &found[i])
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func entryOf(id messages.OrderID, s *natsclient.StoredMsg) (Entry, error) {
	e, err := decode(id, s.Sequence, s.Data)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Sequence: s.Sequence, Time: s.Time, Entry: e}, nil
}
