package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// pageMax and pageBytes bound one page. Small pages would limit the rate of reading: a server under load takes tens of
	// milliseconds per request, in which a thousand entries or more are stored.
	pageMax   = 8192
	pageBytes = 4 << 20
	// replyTimeout is the longest wait for the next message of a page.
	replyTimeout = 5 * time.Second
)

// reader reads the journal forward, in pages. A page is one request to the stream, answered by any server that has a copy
// of it. The server keeps no state between requests: a consumer would be woken for each message, and would cost the server more
// than everything else that the index does.
type reader struct {
	api       natsclient.API
	requester *natsclient.Requester
}

func newReader(js jetstream.JetStream) (*reader, error) {
	requester, err := natsclient.NewRequester(js.Conn(), natsclient.Config{Timeout: replyTimeout})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return &reader{natsclient.NewAPI(js), requester}, nil
}

func (r *reader) close() { r.requester.Close() }

// page reads at most limit entries from a sequence on. Headers are expensive for both sides and only contain sequences,
// which are known if none is missing; so they are requested only for pages with gaps.
func (r *reader) page(ctx context.Context, from uint64, limit int) (natsclient.Page, error) {
	get := natsclient.Get{Sequence: from, Batch: limit, MaxBytes: pageBytes, NoHeaders: true}
	p, err := r.requester.GetPage(ctx, r.api, messages.StreamEvents, get)
	if errors.Is(err, natsclient.ErrGap) {
		get.NoHeaders = false
		p, err = r.requester.GetPage(ctx, r.api, messages.StreamEvents, get)
	}
	if err != nil {
		return natsclient.Page{}, fmt.Errorf("read the journal from sequence %d: %w", from, err)
	}
	return p, nil
}
