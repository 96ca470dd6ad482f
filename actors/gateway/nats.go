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

	mu        sync.Mutex // held while the Requester is made
	requester atomic.Pointer[natsclient.Requester]
	buffers   sync.Pool
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
		return poison("call %s: there is no NATS connection", p.target.name)
	}
	requester, err := g.connect()
	if err != nil {
		return transient("call %s: %w", p.target.name, err)
	}
	// Without a connection the client would buffer the request and send it long after its timeout.
	if !g.nc.IsConnected() {
		return transient("call %s: %w", p.target.name, nats.ErrDisconnected)
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
		requester.SendWithin(p.timeout(), (*natsCall)(p), func(to natsclient.ReplyTo) error {
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
	r, err := natsclient.NewRequester(g.nc, natsclient.Config{})
	if err == nil {
		g.requester.Store(r)
	}
	return r, err
}

// natsCall is a pendingCall as the handler of its request. The call's own timer ends it on time; the Requester's time limit,
// which is less exact, only frees its entry.
type natsCall pendingCall

func (c *natsCall) Reply(m *nats.Msg) bool {
	p := (*pendingCall)(c)
	if p.set.remove(p.id) != nil { // otherwise it timed out
		p.set.cfg.Probe.received(p.call, 0, m.Header, m.Data)
		reply, err := p.set.nats.read(m, p.call.Step)
		p.finish(reply, withTarget(p.target, err))
	}
	return true
}

func (c *natsCall) Fail(err error) {
	p := (*pendingCall)(c)
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) {
		err = poison("call %s: %w", p.target.name, err)
	} else {
		err = transient("call %s: %w", p.target.name, err)
	}
	p.finishOnce(nil, err)
}

func (g *natsGateway) read(msg *nats.Msg, step *messages.Step) (*messages.StepReply, error) {
	if len(msg.Data) > g.set.cfg.MaxReply {
		return nil, transient("answer has %d bytes: at most %d are allowed", len(msg.Data), g.set.cfg.MaxReply)
	}
	a := response{
		contentType: msg.Header.Get(messages.HeaderContentType),
		retryAfter:  msg.Header.Get("Retry-After"),
		reason:      msg.Header.Get(micro.ErrorHeader),
		body:        msg.Data,
	}
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		status, err := strconv.Atoi(code)
		if err != nil {
			return nil, transient("answered with error code %q: %s", sanitize(code, maxNameBytes), a.errorText())
		}
		a.status = status
	} else if a.reason != "" {
		return nil, transient("answered with an error: %s", a.errorText())
	}
	return a.reply(step, time.Now())
}

func (g *natsGateway) close() {
	if r := g.requester.Load(); r != nil {
		r.Close()
	}
}
