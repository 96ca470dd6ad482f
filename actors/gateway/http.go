package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages"
)

// httpGateway posts calls, a bounded number per host at a time.
type httpGateway struct {
	set *Set

	mu       sync.Mutex
	services map[string]*httpService // by downstream
}

// callQueue holds the calls to one host or function that wait for others to end.
type callQueue struct {
	mu      sync.Mutex
	running int
	waiting []*pendingCall
}

func (g *httpGateway) init(s *Set) {
	g.set = s
	g.services = map[string]*httpService{}
}

func (g *httpGateway) send(p *pendingCall) {
	s := g.service(p.target.entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == s.limit {
		s.push(p)
		return
	}
	s.running++
	// The count of p itself is held, so Close cannot be waiting for an empty group.
	g.set.calls.Go(func() { g.work(s, p) })
}

func (g *httpGateway) service(e *directory.Entry) *httpService {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.services[e.Name]
	if s == nil {
		s = newHTTPService(g.set, e)
		g.services[e.Name] = s
	}
	return s
}

// work performs p and then the waiting calls, and ends when none waits.
func (g *httpGateway) work(s *httpService, p *pendingCall) {
	for p != nil {
		// A call that timed out while it waited has ended.
		if p.ctx.Err() == nil {
			reply, err := g.post(s, p)
			p.finishOnce(reply, err)
		}
		p = s.pop()
	}
}

// push adds p at the end. It drops calls at the head that timed out: if the running calls never end, pop would not.
func (l *callQueue) push(p *pendingCall) {
	for len(l.waiting) > 0 && l.waiting[0].ctx.Err() != nil {
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
	}
	l.waiting = append(l.waiting, p)
}

func (l *callQueue) pop() *pendingCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running--
		l.waiting = nil
		return nil
	}
	p := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return p
}

func (g *httpGateway) post(s *httpService, p *pendingCall) (*messages.StepReply, error) {
	body, contentType, err := encodeRequest(nil, p.call)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(p.noteConnection(p.ctx), http.MethodPost, p.target.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, poison("call %s: the request cannot be made", p.target.name)
	}
	request.Header.Set(messages.HeaderContentType, contentType)
	request.Header.Set("Accept", contentJSON+", "+contentProtobuf)
	request.Header.Set("User-Agent", "orderly")
	p.target.entry.Headers(request.Header.Set)
	p.headers(request.Header.Set)
	g.set.cfg.Probe.sendingHTTP(p.call, request, body)
	c := s.acquire()
	defer c.release()
	httpResponse, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, transient("call %s: %w", p.target.name, withoutURL(err))
	}
	defer httpResponse.Body.Close()
	if httpResponse.StatusCode == http.StatusUnauthorized {
		p.target.entry.CredentialsRefused()
	}
	limit := g.set.cfg.MaxReply
	read, err := io.ReadAll(io.LimitReader(httpResponse.Body, int64(limit)+1))
	if err != nil {
		return nil, transient("call %s: read answer %d: %w", p.target.name, httpResponse.StatusCode, withoutURL(err))
	}
	g.set.cfg.Probe.received(p.call, httpResponse.StatusCode, httpResponse.Header, read)
	if len(read) > limit {
		// The status still counts: a 409 with a huge page is a rejection.
		read = nil
		if httpResponse.StatusCode < 300 {
			return nil, transient("%s: answer has more than %d bytes", p.target.name, limit)
		}
	}
	a := response{
		status:      httpResponse.StatusCode,
		contentType: httpResponse.Header.Get(messages.HeaderContentType),
		retryAfter:  httpResponse.Header.Get("Retry-After"),
		body:        read,
	}
	reply, err := a.reply(p.call.Step, time.Now())
	return reply, withTarget(p.target, err)
}

// withoutURL strips the URL from the client's error: its query may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (g *httpGateway) close() {
	for _, s := range g.services {
		s.current.Load().close()
	}
}
