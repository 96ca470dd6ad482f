package ingress

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// maxRequested bounds the messages that are requested and not received.
	maxRequested = 512
	// pullPause is the time between a failed request and the next one.
	pullPause = 250 * time.Millisecond
	// serveGrace is longer than the time until the server shows by a heartbeat that it serves a new request.
	serveGrace = natsclient.PullHeartbeat + time.Second
)

var errNotServed = errors.New("the server does not answer requests for messages")

// puller pulls messages from one durable consumer within a limit: requested + held ≤ limit. Only messages in flight when a
// session is replaced can exceed it.
//
// It is not nats.go's Consume for two reasons. Consume buffers messages beyond those that are held. And it treats a stored
// message with a Status header and no body as a status of the server: such a message would never arrive, or would stop the
// consumption on every node.
type puller struct {
	api    natsclient.API
	stream string
	limit  int
	// minRequest is the lowest number of messages that is requested.
	minRequest int
	// full: nothing is to be requested.
	full func() bool
	// check gets whether the server serves the consumer.
	check *health.Check
	// receive handles a message, which counts as held until release.
	receive func(*puller, *natsclient.PullSession, *nats.Msg)

	mu sync.Mutex
	// requested counts the messages that the current session has requested and not received.
	requested int
	held      int
	session   *natsclient.PullSession
	// lastReceived is when the server last sent anything.
	lastReceived time.Time
	// consumerGone is the server's reason if the consumer may not exist, or empty.
	consumerGone string
	pausedUntil  time.Time
	stopped      bool
}

func newPuller(api natsclient.API, stream string, limit int, full func() bool, check *health.Check, receive func(*puller, *natsclient.PullSession, *nats.Msg)) *puller {
	return &puller{api: api, stream: stream, limit: limit, minRequest: max(1, min(maxRequested/2, limit/16)), full: full, check: check, receive: receive}
}

// open begins a new session, which voids the requests of the previous one. That ends once its messages are handled.
func (p *puller) open() error {
	s, err := p.api.OpenPull(p.stream, messages.Consumer, p)
	if err != nil {
		return err
	}
	p.mu.Lock()
	previous := p.session
	p.session, p.requested, p.lastReceived = s, 0, time.Now()
	p.consumerGone, p.pausedUntil = "", time.Time{}
	p.mu.Unlock()
	if previous != nil {
		previous.Drain()
	}
	p.requestMore()
	return nil
}

// stop ends the requests and does not wait: messages received from now on are nak'd.
func (p *puller) stop() {
	p.mu.Lock()
	p.stopped = true
	s := p.session
	p.mu.Unlock()
	if s != nil {
		s.Drain()
	}
}

// wait returns when no more messages arrive after stop. If the server has not answered when ctx ends, messages that it sends
// later are lost and redelivered.
func (p *puller) wait(ctx context.Context) {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case <-s.Closed():
	case <-ctx.Done():
		s.Close()
	}
}

// requestMore requests as many messages as the limit allows, if that is at least minRequest.
func (p *puller) requestMore() {
	p.mu.Lock()
	n, s := p.requestSize(), p.session
	p.requested += n
	p.mu.Unlock()
	if n == 0 {
		return
	}
	if err := s.Request(n); err != nil {
		p.mu.Lock()
		if p.session == s {
			p.requested = max(0, p.requested-n)
			p.pausedUntil = time.Now().Add(pullPause)
		}
		p.mu.Unlock()
	}
}

// requestSize is the number of messages to request now; p.mu is held.
func (p *puller) requestSize() int {
	n := min(maxRequested, p.limit-p.held) - p.requested
	if n < p.minRequest || p.stopped || p.session == nil || p.consumerGone != "" || p.full() {
		return 0
	}
	if !p.pausedUntil.IsZero() && time.Now().Before(p.pausedUntil) {
		return 0
	}
	return n
}

// HandleMsg implements natsclient.PullHandler.
func (p *puller) HandleMsg(s *natsclient.PullSession, m *nats.Msg) {
	p.mu.Lock()
	if p.session == s {
		p.requested = max(0, p.requested-1)
	}
	p.check.OK()
	p.lastReceived = time.Now()
	stopped := p.stopped
	if !stopped {
		p.held++
	}
	p.mu.Unlock()
	if stopped {
		_ = p.api.Conn.Publish(m.Reply, natsclient.Nak) // if it fails, the message is redelivered later
		return
	}
	p.receive(p, s, m)
	p.requestMore()
}

// HandleStatus implements natsclient.PullHandler.
func (p *puller) HandleStatus(s *natsclient.PullSession, status natsclient.PullStatus) {
	p.mu.Lock()
	if p.session != s {
		p.mu.Unlock()
		return
	}
	p.lastReceived = time.Now()
	p.requested = max(0, p.requested-status.Unfulfilled)
	if status.Void {
		p.check.Fail(errors.New("the server ended the requests: " + status.Text))
		p.requested = 0
		p.pausedUntil = p.lastReceived.Add(pullPause)
	} else {
		p.check.OK()
	}
	if status.ConsumerGone {
		p.consumerGone = status.Text
	}
	p.mu.Unlock()
	p.requestMore()
}

// release frees the place of a message.
func (p *puller) release() {
	p.mu.Lock()
	p.held--
	p.mu.Unlock()
	p.requestMore()
}

// health returns why the consumer may not exist, or empty, and whether heartbeats are missing, so that the requests must have
// been lost.
func (p *puller) health(now time.Time) (consumerGone string, requestsLost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.consumerGone, p.requested > 0 && now.Sub(p.lastReceived) > 2*natsclient.PullHeartbeat
}
