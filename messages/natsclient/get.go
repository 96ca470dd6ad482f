package natsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Get selects stored messages of a stream.
type Get struct {
	// Sequence of the message, or with NextBySubject the lowest one.
	Sequence uint64 `json:"seq,omitempty"`
	// NextBySubject finds the first message of the subject, which may have wildcards.
	NextBySubject string `json:"next_by_subj,omitempty"`
	// LastBySubject finds the last message of the subject.
	LastBySubject string `json:"last_by_subj,omitempty"`

	// Batch is the largest number of messages in a page, MaxBytes roughly the largest number of bytes. Pages only.
	Batch    int `json:"batch,omitempty"`
	MaxBytes int `json:"max_bytes,omitempty"`
	// NoHeaders makes direct gets return bodies without headers, at less than half the cost for the server.
	NoHeaders bool `json:"no_hdr,omitempty"`
}

// StoredMsg is a message as a stream stores it. Which fields are set depends on the read.
type StoredMsg struct {
	Sequence uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
	// Header is the block of headers as it was published, see nats.DecodeHeadersMsg. Reads from the leader only.
	Header []byte `json:"hdrs"`
	Data   []byte `json:"data"`
	// Fields are the decoded headers, with those that the server adds. Direct gets with headers only.
	Fields nats.Header `json:"-"`
}

// Headers returns the decoded headers; nil without any, or if they are unreadable.
func (s *StoredMsg) Headers() nats.Header {
	if s.Fields != nil || len(s.Header) == 0 {
		return s.Fields
	}
	h, err := nats.DecodeHeadersMsg(s.Header)
	if err != nil {
		return nil
	}
	return h
}

const (
	headerStatus       = "Status"
	headerSequence     = "Nats-Sequence"
	headerSubject      = "Nats-Subject"
	headerLastSequence = "Nats-Last-Sequence"
	headerPending      = "Nats-Num-Pending"

	statusEndOfBatch = "204"
	statusNotFound   = "404"
)

// ErrGap: replies of a page are missing.
var ErrGap = errors.New("replies are missing")

// Status is the server's status if m is a message of the server, or empty if m is a stored message, even one with a Status
// header.
func Status(m *nats.Msg) string {
	status := m.Header.Get(headerStatus)
	if status != "" && m.Header.Get(headerSequence) != "" {
		return ""
	}
	return status
}

// GetFromLeader reads one message from the stream's leader, or nil if there is none.
func (a API) GetFromLeader(ctx context.Context, stream string, get Get) (*StoredMsg, error) {
	body, err := json.Marshal(get)
	if err != nil {
		return nil, err
	}
	m, err := a.Conn.RequestWithContext(ctx, a.LeaderGet(stream), body)
	if err != nil {
		return nil, SendError(err)
	}
	return ParseLeaderGet(m)
}

// ParseLeaderGet reads a leader's reply; nil if there is no such message.
func ParseLeaderGet(m *nats.Msg) (*StoredMsg, error) {
	var reply struct {
		Message *StoredMsg          `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return nil, fmt.Errorf("unreadable reply to a get: %w", err)
	}
	switch {
	case reply.Error != nil && reply.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case reply.Error != nil:
		return nil, reply.Error
	case reply.Message == nil:
		return nil, errors.New("reply to a get without a message")
	}
	return reply.Message, nil
}

// ParseDirectGet reads the reply to a direct get of one message, with headers; nil if there is no such message.
func ParseDirectGet(m *nats.Msg) (*StoredMsg, error) {
	switch status := Status(m); status {
	case "":
		s, err := parseStored(m)
		return &s, err
	case statusNotFound:
		return nil, nil
	default:
		return nil, refusedGet(m)
	}
}

func refusedGet(m *nats.Msg) error {
	return fmt.Errorf("direct get refused: %s %s", m.Header.Get(headerStatus), m.Header.Get("Description"))
}

func parseStored(m *nats.Msg) (s StoredMsg, err error) {
	sequence, err1 := number(m, headerSequence)
	at, err2 := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err := errors.Join(err1, err2); err != nil {
		return s, fmt.Errorf("direct get: %w", err)
	}
	return StoredMsg{Sequence: sequence, Time: at, Subject: m.Header.Get(headerSubject), Data: m.Data, Fields: m.Header}, nil
}

func number(m *nats.Msg, header string) (uint64, error) {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", header, err)
	}
	return n, nil
}

// Page is the reply to a direct get of many messages.
type Page struct {
	Msgs []StoredMsg
	// Pending is an estimate of how many messages follow; 0 if the page reaches the end of the stream. Without headers it
	// may include those of the page.
	Pending uint64
}

// GetPage reads messages of the stream from get.Sequence on, as many as fit into one reply; none if there are none. The
// reply may come from a server that lags behind the leader. Without headers, messages have no time, and the error wraps
// ErrGap also if their sequences do not follow one another; with headers, only if replies were lost.
func (r *Requester) GetPage(ctx context.Context, api API, stream string, get Get) (Page, error) {
	body, err := json.Marshal(get)
	if err != nil {
		return Page{}, err
	}
	c := &pageCollector{get: get, done: make(chan error, 1)}
	t := r.SendMany(c, func(to ReplyTo) error { return r.nc.PublishRequest(api.DirectGet(stream), to.String(), body) })
	select {
	case err := <-c.done:
		return c.page, err
	case <-ctx.Done():
		r.Cancel(t)
		return Page{}, context.Cause(ctx)
	}
}

// pageCollector takes the replies to a GetPage.
type pageCollector struct {
	get  Get
	page Page
	last uint64
	err  error
	done chan error
}

func (c *pageCollector) Fail(err error) { c.done <- err }

// Reply takes one message of the page, or its end. After an error the rest of the page is ignored.
func (c *pageCollector) Reply(m *nats.Msg) (last bool) {
	switch Status(m) {
	case "":
		if c.err == nil {
			c.err = c.add(m)
		}
		return false
	case statusEndOfBatch:
		if c.err == nil {
			c.err = c.end(m)
		}
	case statusNotFound:
		if len(c.page.Msgs) > 0 {
			c.err = refusedGet(m)
		}
	default:
		c.err = refusedGet(m)
	}
	c.done <- c.err
	return true
}

func (c *pageCollector) add(m *nats.Msg) error {
	if c.get.NoHeaders {
		c.page.Msgs = append(c.page.Msgs, StoredMsg{Sequence: c.get.Sequence + uint64(len(c.page.Msgs)), Data: m.Data})
		return nil
	}
	s, err := parseStored(m)
	if err != nil {
		return err
	}
	previous, err := number(m, headerLastSequence)
	switch {
	case err != nil:
		return err
	case previous != c.last:
		return fmt.Errorf("%w between sequences %d and %d", ErrGap, c.last, s.Sequence)
	}
	c.last = s.Sequence
	c.page.Msgs = append(c.page.Msgs, s)
	return nil
}

func (c *pageCollector) end(m *nats.Msg) error {
	last, err1 := number(m, headerLastSequence)
	pending, err2 := number(m, headerPending)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	c.page.Pending = pending
	want := c.last
	if c.get.NoHeaders {
		want = c.get.Sequence + uint64(len(c.page.Msgs)) - 1
		size := 0
		for _, s := range c.page.Msgs {
			size += len(s.Data)
		}
		if len(c.page.Msgs) < c.get.Batch && size < c.get.MaxBytes/4 {
			// Neither bound ended the page. The server's own count cannot be used: it includes the page's messages.
			c.page.Pending = 0
		}
	}
	if last != want {
		return fmt.Errorf("%w after sequence %d", ErrGap, want)
	}
	return nil
}
