package natsclient

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Handler handles the replies to one request, or its failure. Its methods are called one at a time, on a goroutine of the
// Requester; they may send requests, and may not block.
type Handler interface {
	// Reply takes a reply. Of a request sent by SendMany, it reports whether this is the last one.
	Reply(m *nats.Msg) (last bool)
	// Fail ends the request without its last reply: the error wraps nats.ErrNoResponders, ErrNotSent, ErrNoReply, or comes
	// from the connection. It is called once at most, and not after the last reply.
	Fail(err error)
}

// Config of a Requester. The zero value is usable.
type Config struct {
	// Timeout is the longest wait for a reply, or for the next one of several; 0: callers cancel their requests.
	Timeout time.Duration
	// FailFast fails requests at once while there is no connection, and those in flight when it is lost. Otherwise nats.go
	// sends them when it is connected again, and replies may still come.
	FailFast bool
	// Logger gets an entry when FailFast ends requests; default: none.
	Logger *slog.Logger
}

// Requester sends requests, any number at a time, and hands the replies to their handlers. Its methods may be called from
// any goroutine.
type Requester struct {
	nc  *nats.Conn
	cfg Config

	epoch   time.Time
	inbox   string // with a dot at the end
	sub     *nats.Subscription
	status  chan nats.Status
	pending pending
	// down: there is no connection. It is set only if FailFast.
	down atomic.Bool

	// completionMu is held while a handler is called.
	completionMu sync.Mutex
	// failed are requests that ended on the goroutine that sent them; closed: no goroutine handles them any more. Both are
	// guarded by failedMu.
	failedMu sync.Mutex
	failed   []failure
	closed   bool

	kick     chan struct{}
	stop     chan struct{}
	watching sync.WaitGroup
	closing  sync.Once
}

type failure struct {
	handler Handler
	err     error
}

// NewRequester returns a Requester over nc.
func NewRequester(nc *nats.Conn, cfg Config) (*Requester, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Requester{
		nc: nc, cfg: cfg, epoch: time.Now(), inbox: nc.NewInbox() + ".", kick: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	var err error
	if r.sub, err = nc.Subscribe(r.inbox+"*", r.reply); err == nil {
		// No limit: replies are bounded by the requests in flight, and none may be dropped.
		if err = r.sub.SetPendingLimits(-1, -1); err != nil {
			_ = r.sub.Unsubscribe() // err says more
		}
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to replies: %w", err)
	}
	if cfg.FailFast {
		r.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		r.down.Store(!nc.IsConnected())
	}
	r.watching.Go(r.watch)
	return r, nil
}

// Inbox is the subject to which the Requester subscribes for replies.
func (r *Requester) Inbox() string { return r.inbox + "*" }

// ReplyTo is the reply subject of one request; the zero value is empty.
type ReplyTo struct {
	inbox string
	token Token
}

// Append appends the subject to b.
func (r ReplyTo) Append(b []byte) []byte {
	if r.token == 0 {
		return b
	}
	return strconv.AppendUint(append(b, r.inbox...), uint64(r.token), tokenBase)
}

func (r ReplyTo) String() string {
	var b [64]byte // more than an inbox of nats.go and a token
	return string(r.Append(b[:0]))
}

const tokenBase = 32

// expireInterval is the longest time between two checks for requests past their deadline.
const expireInterval = 250 * time.Millisecond

// Send calls publish, which must send a request with the given reply subject, and passes the reply or an error to h.
func (r *Requester) Send(h Handler, publish func(ReplyTo) error) Token {
	return r.send(h, r.cfg.Timeout, false, publish)
}

// SendWithin is Send with its own time limit, which it can exceed by up to 250 ms.
func (r *Requester) SendWithin(timeout time.Duration, h Handler, publish func(ReplyTo) error) Token {
	return r.send(h, timeout, false, publish)
}

// SendMany is Send for a request that may have several replies.
func (r *Requester) SendMany(h Handler, publish func(ReplyTo) error) Token {
	return r.send(h, r.cfg.Timeout, true, publish)
}

func (r *Requester) send(h Handler, timeout time.Duration, many bool, publish func(ReplyTo) error) Token {
	if r.isDown() {
		r.Fail(h, ErrDisconnected)
		return 0
	}
	t := r.pending.add(h, many, r.deadline(timeout))
	if t == 0 {
		r.Fail(h, errClosedBefore)
		return 0
	}
	if err := publish(ReplyTo{r.inbox, t}); err != nil {
		if h := r.pending.take(t); h != nil {
			r.Fail(h, SendError(err))
		}
	} else if h := r.pending.idle(t, 0); h != nil {
		r.Fail(h, ErrNoReply)
	}
	return t
}

// Cancel ends the request without calling its handler, unless it has ended or is just ending.
func (r *Requester) Cancel(t Token) { r.pending.cancel(t) }

// Fail calls h.Fail as for a request of this Requester: on its own goroutine, or here if it is closed.
func (r *Requester) Fail(h Handler, err error) {
	r.failedMu.Lock()
	closed := r.closed
	if !closed {
		r.failed = append(r.failed, failure{h, err})
	}
	r.failedMu.Unlock()
	if closed {
		h.Fail(err)
		return
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Close ends the requests in flight with an error and returns when their handlers have returned. It must not be called from a
// handler.
func (r *Requester) Close() {
	r.closing.Do(func() {
		r.failAll(r.pending.close(), errClosedAfter)
		close(r.stop)
		r.watching.Wait()
		if r.status != nil {
			r.nc.RemoveStatusListener(r.status)
		}
		_ = r.sub.Unsubscribe() // fails only on a closed connection
		r.endFailed(true)
	})
}

// reply takes a message of the subscription.
func (r *Requester) reply(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(r.inbox):], tokenBase, 64)
	if err != nil {
		return
	}
	t := Token(n)
	r.completionMu.Lock()
	defer r.completionMu.Unlock()
	h, many := r.pending.reply(t)
	switch {
	case h == nil:
	case noResponders(m):
		r.pending.take(t)
		h.Fail(nats.ErrNoResponders)
	case !many:
		h.Reply(m)
	case h.Reply(m):
		r.pending.take(t)
	default:
		if h := r.pending.idle(t, r.deadline(r.cfg.Timeout)); h != nil {
			h.Fail(ErrNoReply)
		}
	}
}

// noResponders reports whether m is the server's reply to a request without a subscriber.
func noResponders(m *nats.Msg) bool { return len(m.Data) == 0 && Status(m) == "503" }

// watch ends requests past their deadline and those that could not be sent, and all when the connection is lost. It calls no
// method of the connection that would block while a publish is stuck in a write.
func (r *Requester) watch() {
	interval := expireInterval
	if r.cfg.Timeout > 0 {
		interval = min(max(r.cfg.Timeout/8, time.Millisecond), interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-r.kick:
			r.endFailed(false)
		case <-ticker.C:
			r.failAll(r.pending.expire(r.now()), errTimeout)
		case status, ok := <-r.status:
			if !ok { // the connection was closed
				r.status = nil
				continue
			}
			r.down.Store(status != nats.CONNECTED)
			if status == nats.CONNECTED {
				continue
			}
			handlers := r.pending.expire(never)
			r.failAll(handlers, errConnectionLost)
			r.cfg.Logger.Warn("nats connection lost", "status", status.String(), "requests_in_doubt", len(handlers))
		}
	}
}

// isDown reports whether there is no connection. The watching goroutine may have missed the reconnect: nats.go drops a
// status that does not fit into the channel.
func (r *Requester) isDown() bool {
	if r.down.Load() && r.nc.IsConnected() {
		r.down.Store(false)
	}
	return r.down.Load()
}

// endFailed ends the requests that could not be sent; closed: from now on callers do.
func (r *Requester) endFailed(closed bool) {
	r.failedMu.Lock()
	failed := r.failed
	r.failed, r.closed = nil, closed
	r.failedMu.Unlock()
	if len(failed) == 0 {
		return
	}
	r.completionMu.Lock()
	defer r.completionMu.Unlock()
	for _, f := range failed {
		f.handler.Fail(f.err)
	}
}

func (r *Requester) failAll(handlers []Handler, err error) {
	if len(handlers) == 0 {
		return
	}
	r.completionMu.Lock()
	defer r.completionMu.Unlock()
	for _, h := range handlers {
		h.Fail(err)
	}
}

// now is the time since the Requester was made, by the monotonic clock.
func (r *Requester) now() time.Duration { return time.Since(r.epoch) }

func (r *Requester) deadline(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return never
	}
	return r.now() + timeout
}
