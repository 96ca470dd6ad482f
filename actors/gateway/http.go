package gateway

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages"
)

// httpGateway posts calls, a bounded number per downstream at a time.
type httpGateway struct {
	set *Set

	mu       sync.Mutex
	services map[string]*httpService // by downstream
}

// callQueue holds the calls to one downstream or function that wait for others to end.
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
		return nil, fail(messages.Poison, false, "call %s: the request cannot be made", p.target.name)
	}
	request.Header.Set(messages.HeaderContentType, contentType)
	request.Header.Set("Accept", contentJSON+", "+contentProtobuf)
	request.Header.Set("User-Agent", "orderly")
	p.target.entry.Headers(request.Header.Set)
	p.headers(request.Header.Set)
	g.set.cfg.Probe.sendingHTTP(p.call, request, body)
	// Because of its Idempotency-Key, net/http would send the request again when a connection in use before breaks. The answer
	// to that would look like the answer to a first call, although the step may be performed already.
	request.GetBody = nil
	if p.call.Trial {
		// The peer may have vanished without a word, or answer pings and nothing else.
		s.current.Load().retire()
	}
	c := s.acquire()
	defer c.release()
	p.sent.Store(true) // a transport that reports no connections may have sent it
	// No http.Client: it would read the Location of a redirect, and repeat it in errors.
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, p.httpError(err)
	}
	return p.readHTTP(answer)
}

func (g *httpGateway) close() {
	for _, s := range g.services {
		s.current.Load().close()
	}
}
