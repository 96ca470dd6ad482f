package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// readAgain is the first pause before a lagging server is asked again; it doubles up to readAgainMax.
const (
	readAgain    = 2 * time.Millisecond
	readAgainMax = 100 * time.Millisecond
)

// Read returns what tells where the order stands, oldest first: all its entries, or, where some carry a checkpoint, the
// first and those from the last such on; none when there are none. It is at least as new as the stream leader's last
// entry of the order at the time of the call. The error wraps a delivery.Failure, of kind Poison when an entry cannot be
// decoded and else Infrastructure, or is the context's when that was canceled.
func (j *Journal) Read(ctx context.Context, id messages.OrderID) ([]Entry, error) {
	return j.read(ctx, id, true)
}

// History returns all entries of the order, else as Read does. That of a long life takes long: see Read.
func (j *Journal) History(ctx context.Context, id messages.OrderID) ([]Entry, error) {
	return j.read(ctx, id, false)
}

func (j *Journal) read(ctx context.Context, id messages.OrderID, short bool) ([]Entry, error) {
	entries, ok, err := j.walk(ctx, id, short)
	if err == nil && !ok {
		entries, err = j.pages(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read order %s: %w", id, err)
	}
	return entries, nil
}

// Last returns the order's last entry, from the stream's leader; found is false when the order has none. Errors as
// those of Read.
func (j *Journal) Last(ctx context.Context, id messages.OrderID) (e Entry, found bool, err error) {
	s, found, err := j.reads.leader(ctx, getRequest{LastBy: messages.SubjectEvent + string(id)})
	if err == nil && found {
		e, err = s.entry(id)
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("read last entry of order %s: %w", id, err)
	}
	return e, found, nil
}

// maxPaging is how many orders are read page by page at once: each keeps the server busy for milliseconds.
const maxPaging = 16

// pages reads the order page by page.
func (j *Journal) pages(ctx context.Context, id messages.OrderID) (entries []Entry, err error) {
	select {
	case j.paging <- struct{}{}:
		defer func() { <-j.paging }()
	case <-ctx.Done():
		return nil, infrastructure(context.Cause(ctx))
	}
	subject := messages.SubjectEvent + string(id)
	for pause := readAgain; ; pause = min(2*pause, readAgainMax) {
		// Direct gets may be answered by a server that lags; the leader is asked at the same time how far to read.
		leader := j.askLast(ctx, subject)
		entries, err = j.readFrom(ctx, id, subject, entries)
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

// lastSequence is what the leader says; 0 when the order has no entries.
type lastSequence struct {
	sequence uint64
	err      error
}

func (j *Journal) askLast(ctx context.Context, subject string) <-chan lastSequence {
	answer := make(chan lastSequence, 1)
	go func() {
		s, _, err := j.reads.leader(ctx, getRequest{LastBy: subject})
		answer <- lastSequence{s.sequence, err}
	}()
	return answer
}

// readFrom appends the entries that follow those given.
func (j *Journal) readFrom(ctx context.Context, id messages.OrderID, subject string, entries []Entry) ([]Entry, error) {
	for more := true; more; {
		from := uint64(1)
		if n := len(entries); n > 0 {
			from = entries[n-1].Sequence + 1
		}
		var (
			page []stored
			err  error
		)
		if page, more, err = j.reads.page(ctx, subject, from); err != nil {
			return nil, err
		}
		further, err := decodeAll(id, page)
		if err != nil {
			return nil, err
		}
		entries = append(entries, further...)
	}
	return entries, nil
}

func decodeAll(id messages.OrderID, found []stored) ([]Entry, error) {
	entries := make([]Entry, 0, len(found))
	for _, s := range found {
		e, err := s.entry(id)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (s stored) entry(id messages.OrderID) (Entry, error) {
	e, err := decode(id, s.sequence, s.body)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Sequence: s.sequence, Time: s.time, Entry: e}, nil
}
