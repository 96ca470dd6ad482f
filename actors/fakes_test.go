package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The actor system's event stream logger runs until the process ends.
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewThrottle.func1"),
		// The throttle of the dead letters log ends by itself after a second.
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
	)
}

// patience is how long a test waits for a condition.
const patience = time.Minute

// memory is a journal in memory, with faults on demand.
type memory struct {
	*journaltest.Journal
	mu     sync.Mutex
	reads  int
	fenced int
	log    *record
	// before may fail an append.
	before func(kinds string) error
	// loseReply stores the append and answers ErrConflict once, for the kinds given.
	loseReply string
	// broken receives the completion of the next append of a signal, which panics.
	broken chan func()
	// readErr fails reads, readPanic one read.
	readErr   error
	readPanic bool
}

func (m *memory) Append(a *journal.Append) {
	seq, err := m.append(a)
	if m.broken != nil && a.Kinds == "signalled" {
		m.broken <- func() { a.Done(a, seq, err) }
		m.broken = nil
		panic("journal is broken")
	}
	a.Done(a, seq, err)
}

func (m *memory) append(a *journal.Append) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(a.Kinds); err != nil {
			return 0, err
		}
	}
	sequence, err := m.Journal.Append(a)
	if err != nil {
		m.fenced++
		return 0, err
	}
	m.log.add("append " + a.Kinds)
	if m.loseReply == a.Kinds {
		m.loseReply = ""
		return 0, fmt.Errorf("reply lost: %w", journal.ErrConflict)
	}
	return sequence, nil
}

func (m *memory) Read(_ context.Context, id messages.OrderID) ([]journal.Entry, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.readPanic {
		m.readPanic = false
		panic("no such page")
	}
	entries, fence := m.Journal.Read(id)
	return entries, fence, m.readErr
}

func (m *memory) readSoFar() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

func (m *memory) kinds(id messages.OrderID) string {
	var all []string
	for _, e := range m.History(id) {
		all = append(all, journal.Kinds(e.Entry))
	}
	return strings.Join(all, " ")
}

// record is a log of events.
type record struct {
	mu    sync.Mutex
	lines []string
	moved chan struct{}
}

func (r *record) add(line string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// await waits for a line.
func (r *record) await(t *testing.T, line string) {
	t.Helper()
	r.awaitTimes(t, line, 1)
}

// awaitTimes waits until there are n such lines.
func (r *record) awaitTimes(t *testing.T, line string, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		has, moved := 0, r.moved
		for _, l := range r.lines {
			if l == line {
				has++
			}
		}
		r.mu.Unlock()
		if has >= n {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("no %q in:\n%s", line, strings.Join(r.all(), "\n"))
		}
	}
}

// downstream answers step calls with the configured answers; other calls are done at once.
type downstream struct {
	mu    sync.Mutex
	log   *record
	plan  map[string][]answer
	open  map[string]gateway.Done
	calls map[string]*gateway.Call // the latest of each key
	token map[string]uint64
}

type answer struct {
	reply *messages.StepReply
	err   error
	// later: not until release.
	later bool
}

func (d *downstream) Do(c *gateway.Call, done gateway.Done) {
	d.mu.Lock()
	key := strings.TrimPrefix(c.Request.IdempotencyKey, c.Request.OrderId+"/")
	d.log.add(fmt.Sprintf("call %s #%d", key, c.Attempt))
	d.calls[key], d.token[key] = c, c.FencingToken
	a := answer{reply: reply("done")}
	if planned := d.plan[key]; len(planned) > 0 {
		a, d.plan[key] = planned[0], planned[1:]
	}
	if a.later {
		d.open[key] = done
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	done(a.reply, a.err)
}

// call is the latest of that key.
func (d *downstream) call(key string) *gateway.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[key]
}

// release answers a call planned for later.
func (d *downstream) release(key string, a answer) {
	d.mu.Lock()
	done := d.open[key]
	delete(d.open, key)
	d.mu.Unlock()
	done(a.reply, a.err)
}

func reply(word string) *messages.StepReply {
	switch word {
	case "done":
		return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: `{"ref":"r-1"}`}}}
	case "rejected":
		return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: "declined", Reason: "no funds"}}}
	case "pending":
		return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{Signal: "paid"}}}
	}
	panic("no reply " + word)
}

var errDownstream = &delivery.Failure{Kind: messages.Transient, Err: errors.New("unavailable")}

// inbox holds the stored messages of every order.
type inbox struct {
	mu     sync.Mutex
	stored []uint64
	// created are those of the messages that create the order.
	created []uint64
	// around are the stored messages that the order's acceptance finds.
	around []*delivery.Delivery
	// gate, if not nil, holds the calls of FirstStored until it is closed.
	gate chan struct{}
	// reads counts how often it looked for them, searches the calls of FirstStored.
	reads, searches int
}

func (i *inbox) Stored(context.Context, messages.OrderID) ([]*delivery.Delivery, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reads++
	return append([]*delivery.Delivery{}, i.around...), nil
}

func (i *inbox) readSoFar() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

func (i *inbox) FirstStored(_ context.Context, _ messages.OrderID, from uint64) (messages.StoredMessage, bool, error) {
	if i.gate != nil {
		<-i.gate
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.searches++
	for _, seq := range i.stored {
		if seq >= from {
			m := messages.StoredMessage{Sequence: seq, Type: messages.TypeSignal}
			if slices.Contains(i.created, seq) {
				m.Type = messages.TypeCreated
			}
			return m, true, nil
		}
	}
	return messages.StoredMessage{}, false, nil
}

// timers record what was scheduled.
type timers struct {
	log    *record
	latest messages.Timer
}

func (s *timers) Schedule(_ context.Context, t messages.Timer) error {
	s.latest = t
	s.log.add(fmt.Sprintf("schedule %d", t.Park))
	return nil
}
