package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

const (
	directGet = "$JS.API.DIRECT.GET." + messages.StreamEvents
	// pageMax and pageBytes bound one page. A page is as dear to wait for as it is small: a server under load takes tens of
	// milliseconds to get to a request, in which a thousand entries or more are stored.
	pageMax   = 8192
	pageBytes = 4 << 20
	// replyTimeout is the longest wait for the next message of a page.
	replyTimeout = 5 * time.Second

	headerStatus       = "Status"
	headerSequence     = "Nats-Sequence"
	headerLastSequence = "Nats-Last-Sequence"
	headerPending      = "Nats-Num-Pending"
	statusEnd          = "204"
	statusNotFound     = "404"
)

// reader reads the journal forward, in pages. A page is one request to the stream, answered by whichever server has a
// copy of it. Nothing is kept on the server in between: a consumer would be woken for each message, and would cost the
// server more than the rest of the index together.
type reader struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	inbox  string
	serial uint64
}

// page is what was stored from a sequence on.
type page struct {
	entries []stored
	// pending is about how many entries there are after those; 0 when the page reaches to the end of the journal.
	pending uint64
}

// stored is one entry of the journal.
type stored struct {
	sequence uint64
	body     []byte
}

// errGap: the sequences of the page cannot be told.
var errGap = errors.New("sequences are missing")

func newReader(nc *nats.Conn) (*reader, error) {
	inbox := nc.NewInbox() + "."
	sub, err := nc.SubscribeSync(inbox + "*")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return &reader{nc: nc, sub: sub, inbox: inbox}, nil
}

func (r *reader) close() { _ = r.sub.Unsubscribe() } // fails only when the connection is closed

// request is a direct get; see the JetStream API.
type request struct {
	Sequence  uint64 `json:"seq"`
	Batch     int    `json:"batch"`
	MaxBytes  int    `json:"max_bytes"`
	NoHeaders bool   `json:"no_hdr,omitempty"`
}

// page reads at most limit entries stored at from or after it. Headers are dear to make and to read and tell nothing but
// sequences, which are known when none is missing; so they are asked for only where some are.
func (r *reader) page(ctx context.Context, from uint64, limit int) (page, error) {
	p, err := r.get(ctx, request{Sequence: from, Batch: limit, MaxBytes: pageBytes, NoHeaders: true})
	if errors.Is(err, errGap) {
		p, err = r.get(ctx, request{Sequence: from, Batch: limit, MaxBytes: pageBytes})
	}
	if err != nil {
		return page{}, fmt.Errorf("read the journal from sequence %d: %w", from, err)
	}
	return p, nil
}

func (r *reader) get(ctx context.Context, req request) (p page, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return p, err
	}
	r.serial++
	reply := r.inbox + strconv.FormatUint(r.serial, 36)
	if err := r.nc.PublishRequest(directGet, reply, body); err != nil {
		return p, err
	}
	for {
		m, err := r.next(ctx)
		switch {
		case err != nil:
			return p, err
		case m.Subject != reply: // of a request that was given up
			continue
		}
		switch status := m.Header.Get(headerStatus); status {
		case "":
		case statusNotFound:
			return page{}, nil
		case statusEnd:
			return p, p.ends(m, req)
		default:
			return p, fmt.Errorf("the server says %s %s", status, m.Header.Get("Description"))
		}
		e := stored{body: m.Data}
		if !req.NoHeaders {
			if e.sequence, err = number(m, headerSequence); err != nil {
				return p, err
			}
			if previous, err := number(m, headerLastSequence); err != nil || previous != p.last() {
				return p, fmt.Errorf("%w after %d", errGap, p.last())
			}
		}
		p.entries = append(p.entries, e)
	}
}

func (r *reader) next(ctx context.Context) (*nats.Msg, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m, err := r.sub.NextMsg(replyTimeout)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ends takes the end of a page; the error wraps errGap when a message got lost, or sequences are not known.
func (p *page) ends(m *nats.Msg, req request) error {
	last, err := number(m, headerLastSequence)
	if err != nil {
		return err
	}
	if p.pending, err = number(m, headerPending); err != nil {
		return err
	}
	n := uint64(len(p.entries))
	switch {
	case req.NoHeaders && last-req.Sequence+1 != n:
		return errGap
	case !req.NoHeaders && last != p.last():
		return fmt.Errorf("%w after %d", errGap, p.last())
	}
	size := 0
	for i := range p.entries {
		if req.NoHeaders {
			p.entries[i].sequence = req.Sequence + uint64(i)
		}
		size += len(p.entries[i].body)
	}
	if len(p.entries) < req.Batch && size < req.MaxBytes/4 {
		// What ended this page is the end of the journal. The server's own count does not tell: without headers it leaves
		// this page's entries in.
		p.pending = 0
	}
	return nil
}

// last is the sequence of the last entry, 0 if there is none.
func (p *page) last() uint64 {
	if len(p.entries) == 0 {
		return 0
	}
	return p.entries[len(p.entries)-1].sequence
}

func number(m *nats.Msg, header string) (uint64, error) {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", header, err)
	}
	return n, nil
}
