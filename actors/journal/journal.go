package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// Append is one fenced append. The caller owns it until Append is called, and again once Done was called; it may then
// be used for another append.
type Append struct {
	OrderID messages.OrderID
	// Expected is the journal sequence of the order's last entry; 0: the order has none.
	Expected uint64
	// Kinds is the value of the header Orderly-Event.
	Kinds string
	// Body is an encoded messages.JournalEntry.
	Body []byte
	// Done is called exactly once, on a goroutine of the journal, and must not block. The sequence is the entry's.
	// The error wraps ErrConflict or a delivery.Failure of kind Infrastructure.
	Done func(a *Append, sequence uint64, err error)

	// began on the journal's clock.
	began time.Duration
	// round is told of the completion, when the committer publishes the append by itself.
	round *round
}

// Journal appends to and reads ORDER_EVENTS.
type Journal struct {
	nc    *nats.Conn
	cfg   Config
	log   *slog.Logger
	instr *instrumentation
	reads *requests
	// paging bounds the orders that are read page by page.
	paging chan struct{}
	commit *committer // nil without group commit

	epoch   time.Time
	inbox   string // of the replies to publishes, with a dot at the end
	sub     *nats.Subscription
	status  chan nats.Status
	pending pending
	// down: the connection is not there, so that an append fails at once instead of waiting in a buffer.
	down atomic.Bool

	// turn is held while an append is completed.
	turn sync.Mutex
	// unsent are waits that ended in the goroutine that published; over: nobody takes them up any more. Both are
	// guarded by unsentMu.
	unsentMu sync.Mutex
	unsent   []ending
	over     bool

	kick       chan struct{}
	stop       chan struct{}
	watching   sync.WaitGroup
	committing sync.WaitGroup
	closing    sync.Once
}

// ending is a wait that ended without a reply.
type ending struct {
	waiter waiter
	err    error
}

// New starts a journal over the connection, which stays the caller's. The errors name what is wrong.
func New(nc *nats.Conn, cfg Config) (*Journal, error) {
	if nc == nil {
		return nil, errors.New("journal needs a connection to NATS")
	}
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	instr, err := newInstrumentation(cfg.Meter)
	if err != nil {
		return nil, err
	}
	j := &Journal{
		nc: nc, cfg: cfg, log: cfg.Logger.With("node", cfg.Node), instr: instr,
		epoch: time.Now(), inbox: nc.NewInbox() + ".",
		kick: make(chan struct{}, 1), stop: make(chan struct{}), paging: make(chan struct{}, maxPaging),
	}
	if j.sub, err = nc.Subscribe(j.inbox+"*", j.replied); err != nil {
		return nil, fmt.Errorf("subscribe to the journal's replies: %w", err)
	}
	// A reply is small and there is one for each publish: nothing to limit, and none may be dropped.
	if err = j.sub.SetPendingLimits(-1, -1); err == nil {
		j.reads, err = newRequests(nc, cfg.AckTimeout)
	}
	if err != nil {
		_ = j.sub.Unsubscribe()
		return nil, fmt.Errorf("subscribe to the journal's replies: %w", err)
	}
	j.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	j.down.Store(!nc.IsConnected())
	j.watching.Go(j.watch)
	if cfg.GroupCommit {
		j.commit = newCommitter(j)
		j.committing.Go(j.commit.run)
	}
	return j, nil
}

// Append hands the append to the journal. It does not wait for the stream and may be called from any goroutine, also
// from a Done. Once Close has returned, Done is called before Append returns, with an error that wraps ErrClosed.
func (j *Journal) Append(a *Append) {
	a.began = j.now()
	a.round = nil
	if j.commit != nil {
		j.commit.add(a)
		return
	}
	j.publish(a)
}

// Close ends every append that is still waited for with an error and waits for the journal's goroutines. The
// connection stays open. It must not be called from a Done.
func (j *Journal) Close() {
	j.closing.Do(func() {
		if j.commit != nil {
			close(j.commit.stop)
		}
		j.end(j.pending.close(), errLost)
		j.committing.Wait()
		close(j.stop)
		j.watching.Wait()
		j.nc.RemoveStatusListener(j.status)
		_ = j.sub.Unsubscribe()
		j.reads.close()
		j.endUnsent(true)
	})
}

// publish sends one append by itself.
func (j *Journal) publish(a *Append) {
	t, ok := j.pending.add(a, j.now()+j.cfg.AckTimeout)
	if !ok {
		j.endLater(a, infrastructure(ErrClosed))
		return
	}
	if j.isDown() {
		j.notSent(t, infrastructure(errDown))
		return
	}
	p := singles.Get().(*publication)
	err := p.publish(j.nc, j.inbox, t, a)
	singles.Put(p)
	if err != nil {
		j.notSent(t, published(err))
		return
	}
	if w := j.pending.sent(t); w != nil {
		j.endLater(w, errLost)
	}
}

// replied is called for each reply, on the subscription's goroutine.
func (j *Journal) replied(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(j.inbox):], tokenBase, 64)
	if err != nil {
		return
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	if w := j.pending.take(token(n)); w != nil {
		w.answered(j, m)
	}
}

func (a *Append) answered(j *Journal, m *nats.Msg) {
	sequence, _, err := parseAck(m)
	j.complete(a, sequence, verdict(err))
}

func (a *Append) failed(j *Journal, err error) { j.complete(a, 0, err) }

// verdict types the refusal of a single append.
func verdict(err error) error {
	var refused *apiError
	switch {
	case err == nil || !errors.As(err, &refused):
		return err
	case refused.fenced():
		return fmt.Errorf("%w (%d)", errFence, refused.Code)
	default:
		return infrastructure(refused)
	}
}

func (j *Journal) complete(a *Append, sequence uint64, err error) {
	j.instr.completed(j.now()-a.began, err)
	if err != nil {
		err = fmt.Errorf("append order %s after sequence %d: %w", a.OrderID, a.Expected, err)
	}
	r := a.round
	a.round = nil
	if r != nil {
		r.completed()
	}
	a.Done(a, sequence, err)
}

// now is the time since the journal began, by the monotonic clock.
func (j *Journal) now() time.Duration { return time.Since(j.epoch) }
