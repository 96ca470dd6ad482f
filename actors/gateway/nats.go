package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// maxHeaders is how many headers a request has.
const maxHeaders = 6

// maxPooledBuffer is the largest request buffer that is reused, in bytes.
const maxPooledBuffer = 64 << 10

// natsGateway does request-reply over one Requester for the whole Set, made at the first call.
type natsGateway struct {
	set *Set
	nc  *nats.Conn

	mu        sync.Mutex // held while the Requester is made or taken away
	requester atomic.Pointer[natsclient.Requester]
	// unwatch ends the watch of what the server refuses. It begins with the first call; mu guards it.
	unwatch func()
	refused sync.WaitGroup // Requesters whose subscription was refused, while they are closed
	buffers sync.Pool
}

func (g *natsGateway) init(s *Set, nc *nats.Conn) {
	g.set, g.nc = s, nc
	g.buffers.New = func() any { return new([]byte) }
}

func (g *natsGateway) send(p *pendingCall) {
	if err := g.publish(p); err != nil {
		p.finishOnce(nil, err)
	}
}

func (g *natsGateway) publish(p *pendingCall) error {
	if g.nc == nil {
		return fail(messages.Poison, false, "call %s: there is no NATS connection", p.target.name)
	}
	requester, err := g.connect()
	if err != nil {
		return fail(messages.Transient, false, "call %s: %w", p.target.name, err)
	}
	// Without a connection the client would buffer the request and send it long after its timeout.
	if !g.nc.IsConnected() {
		return fail(messages.Transient, false, "call %s: %w", p.target.name, nats.ErrDisconnected)
	}
	buffer := g.buffers.Get().(*[]byte)
	body, contentType, err := encodeRequest((*buffer)[:0], p.call)
	if err == nil {
		header := make(nats.Header, maxHeaders)
		values := make([]string, 0, maxHeaders)
		set := func(key, value string) {
			values = append(values, value)
			header[key] = values[len(values)-1 : len(values) : len(values)]
		}
		set(messages.HeaderContentType, contentType)
		p.target.entry.Headers(set)
		p.headers(set)
		body = g.set.cfg.Probe.sendingNATS(p.call, header, body)
		requester.SendWithin(p.timeout()+time.Second, (*natsCall)(p), func(to natsclient.ReplyTo) error {
			p.sent.Store(true)
			// PublishMsg copies the body.
			err := g.nc.PublishMsg(&nats.Msg{Subject: p.target.subject, Reply: to.String(), Header: header, Data: body})
			if err != nil {
				return fmt.Errorf("request of %d bytes: %w", len(body), err)
			}
			return nil
		})
	}
	if cap(body) <= maxPooledBuffer {
		*buffer = body
	}
	g.buffers.Put(buffer)
	return err
}

func (g *natsGateway) connect() (*natsclient.Requester, error) {
	if r := g.requester.Load(); r != nil {
		return r, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.requester.Load(); r != nil {
		return r, nil
	}
	if g.unwatch == nil { // before the subscription that the server may refuse
		g.unwatch = natsclient.WatchViolations(g.nc, g.refusedByServer)
	}
	r, err := natsclient.NewRequester(g.nc, natsclient.Config{})
	if err == nil {
		g.requester.Store(r)
	}
	return r, err
}

// natsCall is a pendingCall as the handler of its request. The call's own timer ends it on time; the Requester's time limit,
// which is less exact and a second longer, only frees its entry.
type natsCall pendingCall

func (c *natsCall) Reply(m *nats.Msg) bool {
	p := (*pendingCall)(c)
	if p.set.remove(p.id) != nil { // otherwise it timed out
		p.set.cfg.Probe.received(p.call, 0, m.Header, m.Data)
		p.finish(p.readNATS(m))
	}
	return true
}

func (c *natsCall) Fail(err error) {
	p := (*pendingCall)(c)
	kind := messages.Transient
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) {
		kind = messages.Poison
	}
	inDoubt := !errors.Is(err, natsclient.ErrNotSent) && !errors.Is(err, nats.ErrNoResponders)
	p.finishOnce(nil, fail(kind, inDoubt, "call %s: %w", p.target.name, err))
}

// readNATS reads a reply.
func (p *pendingCall) readNATS(m *nats.Msg) (*messages.StepReply, error) {
	a := &response{
		contentType: m.Header.Get(messages.HeaderContentType),
		retryAfter:  m.Header.Get("Retry-After"),
		reason:      m.Header.Get(micro.ErrorHeader),
		body:        m.Data,
		limit:       p.set.cfg.MaxReply,
	}
	if len(a.body) > a.limit {
		a.body, a.larger = a.body[:a.limit], true
	}
	if a.code = m.Header.Get(micro.ErrorCodeHeader); a.code != "" || a.reason != "" {
		a.status = statusOther
		if status, err := strconv.ParseUint(a.code, 10, 16); err == nil && status >= 100 && status <= 599 {
			a.status = int(status)
		}
	}
	return p.read(a)
}

func (g *natsGateway) close() {
	g.mu.Lock()
	r, unwatch := g.requester.Swap(nil), g.unwatch
	g.unwatch = nil
	g.mu.Unlock()
	if r != nil {
		r.Close()
	}
	g.refused.Wait()
	if unwatch != nil {
		unwatch()
	}
}
