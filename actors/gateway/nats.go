package gateway

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderly-engine/orderly/messages"
)

// statusNoResponders is the Status header of the server's answer when nobody listens.
const statusNoResponders = "503"

// keptBuffer is the largest request buffer that is used again, in bytes.
const maxPooledBuffer = 64 << 10

// natsGateway does request-reply over one subscription for the whole Set: a reply's subject ends in the token of its
// flight.
type natsGateway struct {
	set *Set
	nc  *nats.Conn

	inbox   string // prefix of the reply subjects, with its last dot
	ready   atomic.Bool
	mu      sync.Mutex // held while subscribing
	sub     *nats.Subscription
	ended   chan struct{} // closed when the subscription's goroutine is done
	buffers sync.Pool
}

func (g *natsGateway) init(s *Set, nc *nats.Conn) {
	g.set, g.nc = s, nc
	g.buffers.New = func() any { return new([]byte) }
}

func (g *natsGateway) send(f *pendingCall) {
	if err := g.publish(f); err != nil {
		f.finishOnce(nil, err)
	}
}

func (g *natsGateway) publish(f *pendingCall) error {
	if g.nc == nil {
		return poison("call %s: there is no NATS connection", f.target.name)
	}
	if !g.ready.Load() {
		if err := g.subscribe(); err != nil {
			return transient("call %s: subscribe to replies: %w", f.target.name, err)
		}
	}
	// Buffered by the client, it would be sent long after its time-out.
	if !g.nc.IsConnected() {
		return transient("call %s: %w", f.target.name, nats.ErrDisconnected)
	}
	buffer := g.buffers.Get().(*[]byte)
	body, contentType, err := encodeRequest((*buffer)[:0], f.call)
	if err == nil {
		header := nats.Header{messages.HeaderContentType: {contentType}}
		for _, key := range f.trace.Keys() {
			if value := f.trace.Get(key); value != "" {
				header[key] = []string{value}
			}
		}
		// PublishMsg copies the body.
		err = g.nc.PublishMsg(&nats.Msg{
			Subject: f.target.subject,
			Reply:   g.inbox + strconv.FormatUint(f.id, 36),
			Header:  header,
			Data:    body,
		})
		switch {
		case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
			err = poison("call %s with %d bytes: %w", f.target.name, len(body), err)
		case err != nil:
			err = transient("call %s: %w", f.target.name, err)
		}
	}
	if cap(body) <= maxPooledBuffer {
		*buffer = body
	}
	g.buffers.Put(buffer)
	return err
}

func (g *natsGateway) subscribe() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ready.Load() {
		return nil
	}
	inbox := g.nc.NewInbox() + "."
	sub, err := g.nc.Subscribe(inbox+"*", g.receive)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(ended) })
	// What can be waiting is bounded by the calls under way.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return errors.Join(err, sub.Unsubscribe())
	}
	g.inbox, g.sub, g.ended = inbox, sub, ended
	g.ready.Store(true)
	return nil
}

// receive ends the flight a reply belongs to; replies that came too late belong to none.
func (g *natsGateway) receive(msg *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, g.inbox), 36, 64)
	if err != nil {
		return
	}
	f := g.set.remove(token)
	if f == nil {
		return
	}
	reply, err := g.read(msg, f.call.Step)
	f.finish(reply, withTarget(f.target, err))
}

func (g *natsGateway) read(msg *nats.Msg, step *messages.Step) (*messages.StepReply, error) {
	if len(msg.Data) == 0 && msg.Header.Get("Status") == statusNoResponders {
		return nil, transient("%w", nats.ErrNoResponders)
	}
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
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sub == nil {
		return
	}
	// A closed connection has ended the subscription already.
	_ = g.sub.Unsubscribe()
	<-g.ended
	g.sub = nil
}
