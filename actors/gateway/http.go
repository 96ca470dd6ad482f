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

// httpGateway posts calls, a bounded number per host at once.
type httpGateway struct {
	set    *Set
	client *http.Client

	mu     sync.Mutex
	queues map[string]*callQueue // by scheme and host
}

// lane is the calls to one host. Its goroutines end when nothing waits.
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

// newTransport keeps as many connections per host as there can be calls. The time-out is each call's own.
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

func (g *httpGateway) send(f *pendingCall) {
	l := g.queue(f.target.url)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == g.set.cfg.HTTPConcurrency {
		l.push(f)
		return
	}
	l.running++
	// f is under way, so Close cannot have begun to wait for an empty group.
	g.set.calls.Go(func() { g.work(l, f) })
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

// work performs f and then whatever waits.
func (g *httpGateway) work(l *callQueue, f *pendingCall) {
	for f != nil {
		// A call whose time is up while it waited is over.
		if f.ctx.Err() == nil {
			reply, err := g.post(f)
			f.finishOnce(reply, err)
		}
		f = l.pop()
	}
}

// wait enters f behind those that wait, and forgets those at the head whose time is up: behind calls that never end they
// would never be met.
func (l *callQueue) push(f *pendingCall) {
	for len(l.waiting) > 0 && l.waiting[0].ctx.Err() != nil {
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
	}
	l.waiting = append(l.waiting, f)
}

func (l *callQueue) pop() *pendingCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running--
		l.waiting = nil
		return nil
	}
	f := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return f
}

func (g *httpGateway) post(f *pendingCall) (*messages.StepReply, error) {
	body, contentType, err := encodeRequest(nil, f.call)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(f.ctx, http.MethodPost, f.target.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, poison("call %s: the request cannot be made", f.target.name)
	}
	request.Header.Set(messages.HeaderContentType, contentType)
	request.Header.Set("Accept", contentJSON+", "+contentProtobuf)
	request.Header.Set("Idempotency-Key", f.call.Request.GetIdempotencyKey())
	request.Header.Set("User-Agent", "orderly")
	for _, key := range f.trace.Keys() {
		if value := f.trace.Get(key); value != "" {
			request.Header.Set(key, value)
		}
	}
	httpResponse, err := g.client.Do(request)
	if err != nil {
		return nil, transient("call %s: %w", f.target.name, withoutURL(err))
	}
	defer httpResponse.Body.Close()
	limit := g.set.cfg.MaxReply
	read, err := io.ReadAll(io.LimitReader(httpResponse.Body, int64(limit)+1))
	if err != nil {
		return nil, transient("call %s: read answer %d: %w", f.target.name, httpResponse.StatusCode, withoutURL(err))
	}
	if len(read) > limit {
		// The status counts, the body does not: a refusal with a huge page is still a refusal.
		read = nil
		if httpResponse.StatusCode < 300 {
			return nil, transient("%s: answer has more than %d bytes", f.target.name, limit)
		}
	}
	a := response{
		status:      httpResponse.StatusCode,
		contentType: httpResponse.Header.Get(messages.HeaderContentType),
		retryAfter:  httpResponse.Header.Get("Retry-After"),
		body:        read,
	}
	reply, err := a.reply(f.call.Step, time.Now())
	return reply, withTarget(f.target, err)
}

// withoutURL strips what the client says about the URL: user name and query may be secrets.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (g *httpGateway) close() { g.client.CloseIdleConnections() }
