package ingress

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxBatch bounds how many messages are asked for and not yet received.
	maxBatch = 512
	// pullBytes bounds what one request may bring, well below what a subscription buffers.
	pullBytes = 8 << 20
	// pullExpires ends a request that brings nothing; the server gives a sign of its own life every pullHeartbeat.
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	// pullPause comes between an answer that says no and the next request.
	pullPause = 250 * time.Millisecond
)

// puller asks one durable consumer for messages, and never for more than there is room for: asked + held ≤ share. Only
// what is on its way at the moment a session is replaced comes on top.
//
// The client library's Consume is not used for two reasons. It buffers messages beyond those that are held. And it takes
// a stored message that has a Status header and no body for a word of the server: such a message would never arrive, or
// stop the consumption on every node.
type puller struct {
	nc      *nats.Conn
	stream  string
	subject string
	share   int
	// least is the smallest number worth a request.
	least int
	// receive takes in a message of a session; the puller counts it as held until release.
	receive func(*puller, *session, *nats.Msg)
	// giveBack returns a message nobody has seen.
	giveBack func(*nats.Msg)

	mu sync.Mutex
	// asked counts what the current session was asked for and has not brought.
	asked   int
	held    int
	session *session
	heard   time.Time
	// doubt: the server says there is no such consumer, or nobody answers.
	doubt    string
	notUntil time.Time
	stopped  bool
}

// session is one subscription. A new one makes the requests of the old one void on the server.
type session struct {
	sub    *nats.Subscription
	inbox  string
	closed chan struct{}
	// reconnects is how often the connection had come back when the session began.
	reconnects uint64
}

func newPuller(nc *nats.Conn, api, stream string, share int) *puller {
	return &puller{
		nc:      nc,
		stream:  stream,
		subject: api + "CONSUMER.MSG.NEXT." + stream + "." + messages.Consumer,
		share:   share,
		least:   max(1, min(maxBatch/2, share/16)),
	}
}

// open begins a new session; the previous one, if any, ends as soon as what it has received is handed on.
func (p *puller) open() error {
	s := &session{inbox: p.nc.NewInbox(), closed: make(chan struct{}), reconnects: p.nc.Stats().Reconnects}
	sub, err := p.nc.Subscribe(s.inbox, func(m *nats.Msg) { p.arrived(s, m) })
	if err != nil {
		return fmt.Errorf("pull from stream %s: %w", p.stream, err)
	}
	sub.SetClosedHandler(func(string) { close(s.closed) })
	s.sub = sub
	p.mu.Lock()
	old := p.session
	p.session, p.asked, p.heard = s, 0, time.Now()
	p.doubt, p.notUntil = "", time.Time{}
	p.mu.Unlock()
	if old != nil {
		_ = old.sub.Drain() // fails only when the connection is closed, and then there is nothing to end
	}
	p.ask()
	return nil
}

// stop stops asking and does not wait: what arrives from now on is given back. Without a connection nothing can be given
// back, and nothing arrives.
func (p *puller) stop() {
	p.mu.Lock()
	p.stopped = true
	s := p.session
	p.mu.Unlock()
	if s == nil {
		return
	}
	if !p.nc.IsConnected() || s.sub.Drain() != nil {
		_ = s.sub.Unsubscribe() // fails only when it has ended already
	}
}

// wait returns when nothing more arrives after stop. A server that has not answered when ctx ends is not waited for: what
// it still sends comes to nobody, and is delivered again.
func (p *puller) wait(ctx context.Context) {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case <-s.closed:
	case <-ctx.Done():
		_ = s.sub.Unsubscribe() // fails only when it has ended already
	}
}

// ask asks for what there is room for, if that is worth a request.
func (p *puller) ask() {
	p.mu.Lock()
	n := p.wanted()
	if n == 0 {
		p.mu.Unlock()
		return
	}
	p.asked += n
	s := p.session
	p.mu.Unlock()
	p.request(s, n)
}

// wanted is how many messages to ask for now; p.mu is held.
func (p *puller) wanted() int {
	n := min(maxBatch, p.share-p.held) - p.asked
	if n < p.least || p.stopped || p.session == nil || p.doubt != "" {
		return 0
	}
	if !p.notUntil.IsZero() && time.Now().Before(p.notUntil) {
		return 0
	}
	return n
}

func (p *puller) request(s *session, n int) {
	body := make([]byte, 0, 96)
	body = append(body, `{"batch":`...)
	body = strconv.AppendInt(body, int64(n), 10)
	body = append(body, pullOptions...)
	if err := p.nc.PublishRequest(p.subject, s.inbox, body); err != nil {
		p.mu.Lock()
		if p.session == s {
			p.asked = max(0, p.asked-n)
			p.notUntil = time.Now().Add(pullPause)
		}
		p.mu.Unlock()
	}
}

var pullOptions = fmt.Sprintf(`,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`, pullBytes, pullExpires, pullHeartbeat)

// arrived takes what came for a session. A stored message has a reply subject to be acknowledged on; a word of the
// server has none.
func (p *puller) arrived(s *session, m *nats.Msg) {
	if !strings.HasPrefix(m.Reply, ackPrefix) {
		p.told(s, m)
		return
	}
	p.mu.Lock()
	if p.session == s {
		p.asked = max(0, p.asked-1)
	}
	p.heard = time.Now()
	if p.stopped {
		p.mu.Unlock()
		p.giveBack(m)
		return
	}
	p.held++
	p.mu.Unlock()
	p.receive(p, s, m)
	p.ask()
}

// told takes a word of the server about a request.
func (p *puller) told(s *session, m *nats.Msg) {
	status, description := m.Header.Get("Status"), m.Header.Get("Description")
	p.mu.Lock()
	if p.session != s {
		p.mu.Unlock()
		return
	}
	p.heard = time.Now()
	left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	switch {
	case status == "100": // heartbeat
	case err == nil: // the request has ended, and so much of it was not brought
		p.asked = max(0, p.asked-left)
	default:
		// No consumer, another leader, a server going down, a request refused: nothing is left of any request.
		p.asked = 0
		p.notUntil = p.heard.Add(pullPause)
		if status == "503" || strings.EqualFold(description, "Consumer Deleted") {
			p.doubt = strings.TrimSpace(status + " " + description)
		}
	}
	p.mu.Unlock()
	p.ask()
}

// release makes room for another message.
func (p *puller) release() {
	p.mu.Lock()
	p.held--
	p.mu.Unlock()
	p.ask()
}

// silent reports whether the server owes a sign of life: the requests must have got lost.
func (p *puller) silent(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked > 0 && now.Sub(p.heard) > 2*pullHeartbeat
}

// doubts says why the consumer may be gone, or nothing.
func (p *puller) doubts() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubt
}
