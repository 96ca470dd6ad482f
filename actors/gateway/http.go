package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// httpGateway posts calls, a bounded number per host at a time.
type httpGateway struct {
	set    *Set
	client *http.Client

	mu     sync.Mutex
	queues map[string]*callQueue // by scheme and host
}

// callQueue holds the calls to one host or function that wait for others to end.
type callQueue struct {
	mu      sync.Mutex
	running int
	waiting []*pendingCall
}

func (g *httpGateway) init(s *Set) {
	g.set = s
	g.queues = map[string]*callQueue{}
	g.client = &http.Client{
		Transport:     s.cfg.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport keeps as many idle connections per host as calls can run. The timeout is each call's own.
func newTransport(concurrency int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (g *httpGateway) send(p *pendingCall) {
	l := g.queue(p.target.url)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == g.set.cfg.HTTPConcurrency {
		l.push(p)
		return
	}
	l.running++
	// The count of p itself is held, so Close cannot be waiting for an empty group.
	g.set.calls.Go(func() { g.work(l, p) })
}

func (g *httpGateway) queue(u *url.URL) *callQueue {
	key := u.Scheme + "://" + u.Host
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.queues[key]
	if l == nil {
		l = &callQueue{}
		g.queues[key] = l
	}
	return l
}

// work performs p and then the waiting calls, and ends when none waits.
func (g *httpGateway) work(l *callQueue, p *pendingCall) {
	for p != nil {
		// A call that timed out while it waited has ended.
		if p.ctx.Err() == nil {
			reply, err := g.post(p)
			p.finishOnce(reply, err)
		}
		p = l.pop()
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

func (g *httpGateway) post(p *pendingCall) (*messages.StepReply, error) {
	body, contentType, err := encodeRequest(nil, p.call)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.target.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, poison("call %s: the request cannot be made", p.target.name)
	}
	request.Header.Set(messages.HeaderContentType, contentType)
	request.Header.Set("Accept", contentJSON+", "+contentProtobuf)
	request.Header.Set("User-Agent", "orderly")
	p.headers(request.Header.Set)
	g.set.cfg.Probe.sendingHTTP(p.call, request, body)
	httpResponse, err := g.client.Do(request)
	if err != nil {
		return nil, transient("call %s: %w", p.target.name, withoutURL(err))
	}
	defer httpResponse.Body.Close()
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

func (g *httpGateway) close() { g.client.CloseIdleConnections() }
