package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/failpoint"
)

const (
	// maxBatchBytes bounds the bodies of one batch, so that a commit does not hold up others for long.
	maxBatchBytes = 4 << 20
	// maxApart is the most appends that are published one by one, pipelined. The server stages each batch in files
	// of its own and syncs them and their directory before the batch itself: measured, that takes as long as twenty
	// to forty single appends. It also bounds what one conflict costs: a refused batch is halved down to this size,
	// some twenty commits for 1000 appends, instead of being taken apart at once.
	maxApart = 16
)

// committer publishes what waits as atomic batches, one after the other.
type committer struct {
	j        *Journal
	wake     chan struct{}
	stop     chan struct{}
	verdicts chan outcome
	// name begins the ids of this journal's batches; batches counts them.
	name    string
	batches uint64
	// serials are the values of Nats-Batch-Sequence.
	serials []string
	// limit is the most appends in a batch; apart: the stream takes no batches. Both change when a batch is refused.
	limit int
	apart bool

	mu      sync.Mutex
	waiting []*Append
	closed  bool
}

// outcome of a batch, for the committer.
type outcome uint8

const (
	// settled: every append of the batch is completed, or about to be.
	settled outcome = iota
	// divide: nothing was stored, because of the fence of at least one append, or because there are too many.
	divide
	// refused: nothing was stored, for another reason.
	refused
)

func newCommitter(j *Journal) *committer {
	c := &committer{
		j: j, wake: make(chan struct{}, 1), stop: make(chan struct{}), verdicts: make(chan outcome, 1),
		// Stored with each message, so it is short; 64 random bits keep the journals of all nodes apart.
		name:    strconv.FormatUint(rand.Uint64(), 36) + "-",
		serials: make([]string, j.cfg.BatchMax),
		limit:   j.cfg.BatchMax,
	}
	for i := range c.serials {
		c.serials[i] = strconv.Itoa(i + 1)
	}
	return c
}

func (c *committer) add(a *Append) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.waiting = append(c.waiting, a)
	}
	c.mu.Unlock()
	if closed {
		c.j.endLater(a, infrastructure(ErrClosed))
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *committer) run() {
	for {
		select {
		case <-c.stop:
			c.close()
			return
		case <-c.wake:
		}
		for batch := c.take(); len(batch) > 0; batch = c.take() {
			c.commit(batch)
		}
	}
}

// close fails what waits.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	waiting := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	c.fail(waiting, infrastructure(ErrClosed))
}

// take removes the next batch from what waits; nil when nothing does, or the committer is to stop.
func (c *committer) take() []*Append {
	select {
	case <-c.stop:
		return nil
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < min(len(c.waiting), c.limit) {
		if size += len(c.waiting[n].Body); size > maxBatchBytes && n > 0 {
			break
		}
		n++
	}
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return batch
}

// commit returns when every append of the batch has its verdict.
func (c *committer) commit(batch []*Append) {
	if len(batch) <= maxApart || c.apart {
		c.publishApart(batch)
		return
	}
	switch c.publish(batch) {
	case settled:
	case refused:
		c.publishApart(batch)
	case divide:
		c.commit(batch[:len(batch)/2])
		c.commit(batch[len(batch)/2:])
	}
}

// publish sends one atomic batch and waits for its outcome.
func (c *committer) publish(batch []*Append) outcome {
	if c.j.isDown() {
		c.fail(batch, infrastructure(errDown))
		return settled
	}
	g := &group{c, batch}
	t, ok := c.j.pending.add(g, c.j.now()+c.j.cfg.AckTimeout)
	if !ok {
		c.fail(batch, infrastructure(ErrClosed))
		return settled
	}
	if err := c.send(batch, t); err != nil {
		if c.j.pending.take(t) != nil {
			c.j.end([]waiter{g}, err)
		}
	} else if c.j.pending.sent(t) != nil {
		c.j.end([]waiter{g}, errLost)
	}
	return <-c.verdicts
}

func (c *committer) send(batch []*Append, t token) error {
	c.batches++
	p := newBatchPublication(c.name + strconv.FormatUint(c.batches, 36))
	last := len(batch) - 1
	for i, a := range batch[:last] {
		if i == last/2 {
			failpoint.Pass(failpoint.HalfBatch)
		}
		p.serial[0] = c.serials[i]
		if err := p.publish(c.j.nc, "", 0, a); err != nil {
			// Without its last message the stream drops the batch.
			return infrastructure(fmt.Errorf("send a batch of %d: %w", len(batch), plain(err)))
		}
	}
	p.serial[0] = c.serials[last]
	p.msg.Header[headerBatchCommit] = []string{"1"}
	if err := p.publish(c.j.nc, c.j.inbox, t, batch[last]); err != nil {
		return published(err)
	}
	return nil
}

// publishApart sends the appends each by itself, and returns when all have their verdicts.
func (c *committer) publishApart(batch []*Append) {
	r := &round{left: len(batch), done: make(chan struct{})}
	for _, a := range batch {
		a.round = r
		c.j.publish(a)
	}
	<-r.done
}

func (c *committer) fail(batch []*Append, err error) {
	c.j.turn.Lock()
	defer c.j.turn.Unlock()
	for _, a := range batch {
		c.j.complete(a, 0, err)
	}
}

// group is a batch whose reply is waited for.
type group struct {
	c       *committer
	appends []*Append
}

// answered tells the committer first, so that it publishes the next batch while this one is completed.
func (g *group) answered(j *Journal, m *nats.Msg) {
	last, count, err := parseAck(m)
	var no *apiError
	switch {
	case errors.As(err, &no):
		g.refused(no)
		return
	case err == nil && (count != len(g.appends) || last < uint64(count)):
		err = fmt.Errorf("%w (%d of %d appends of a batch acknowledged)", errLost, count, len(g.appends))
	}
	if err != nil {
		g.failed(j, err)
		return
	}
	g.c.verdicts <- settled
	j.instr.committed(count)
	// The stream stores a batch in one piece: the sequences are consecutive.
	first := last - uint64(count) + 1
	for i, a := range g.appends {
		j.complete(a, first+uint64(i), nil)
	}
}

func (g *group) refused(err *apiError) {
	c := g.c
	switch {
	case err.fenced():
		c.verdicts <- divide
	case err.Code == codeAtomicTooLarge:
		c.limit = max(len(g.appends)/2, 1)
		c.j.log.Warn("batch of appends is larger than the server takes, going on with smaller ones", "appends", len(g.appends), "limit", c.limit)
		c.verdicts <- divide
	default:
		c.apart = c.apart || err.Code == codeAtomicDisabled
		c.j.log.Warn("batch of appends refused, appending one by one", "appends", len(g.appends), "error", err)
		c.verdicts <- refused
	}
}

func (g *group) failed(j *Journal, err error) {
	g.c.verdicts <- settled
	for _, a := range g.appends {
		j.complete(a, 0, err)
	}
}

// round is told of the completions of appends that are published apart.
type round struct {
	mu   sync.Mutex
	left int
	done chan struct{}
}

func (r *round) completed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left--; r.left == 0 {
		close(r.done)
	}
}
