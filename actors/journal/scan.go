package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// scanTimeout bounds one request of a scan.
const scanTimeout = 10 * time.Second

// Scan calls visit for each entry that is in the journal when it is called, of all orders, in the order of storing.
// While a page is visited the next one is fetched. It stops at the first error that visit returns and returns it; its
// own errors are as those of Read.
func Scan(ctx context.Context, js jetstream.JetStream, visit func(Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return fmt.Errorf("scan the journal: %w", infrastructure(err))
	}
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return nil
	}
	r, err := newRequests(js.Conn(), scanTimeout)
	if err != nil {
		return fmt.Errorf("scan the journal: %w", infrastructure(err))
	}
	defer r.close()

	pages := make(chan scanned)
	go func() {
		defer close(pages)
		r.scan(ctx, last, pages)
	}()
	defer func() {
		cancel()
		for range pages {
			// Wait until the goroutine has closed it.
		}
	}()
	for p := range pages {
		if p.err != nil {
			return fmt.Errorf("scan the journal: %w", p.err)
		}
		for _, s := range p.messages {
			if s.sequence > last {
				return nil
			}
			id, err := messages.IDFromSubject(messages.SubjectEvent, s.subject)
			if err != nil {
				return fmt.Errorf("scan the journal: %w", poison(messages.OrderID(s.subject), s.sequence, err))
			}
			e, err := s.entry(id)
			if err != nil {
				return fmt.Errorf("scan the journal: %w", err)
			}
			if err := visit(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// scanned is one page of a scan.
type scanned struct {
	messages []stored
	err      error
}

// scan sends the pages up to the last sequence.
func (r *requests) scan(ctx context.Context, last uint64, pages chan<- scanned) {
	for from, pause := uint64(1), readAgain; from <= last; {
		page, more, err := r.page(ctx, messages.SubjectEvent+"*", from)
		if err == nil && !more && (len(page) == 0 || page[len(page)-1].sequence < last) {
			// A server that lags, or the last messages are deleted: the leader knows.
			var behind bool
			if behind, err = r.behind(ctx, page, from, last); err == nil && !behind {
				last = 0
			}
		}
		if n := len(page); n > 0 {
			from, pause = page[n-1].sequence+1, readAgain
		} else if last != 0 && err == nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
				pause = min(2*pause, readAgainMax)
			}
		}
		select {
		case pages <- scanned{page, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// behind reports whether the leader has a message up to the last sequence that comes after the page.
func (r *requests) behind(ctx context.Context, page []stored, from, last uint64) (bool, error) {
	if n := len(page); n > 0 {
		from = page[n-1].sequence + 1
	}
	s, found, err := r.leader(ctx, getRequest{Sequence: from, NextBy: messages.SubjectEvent + "*"})
	return found && s.sequence <= last, err
}
