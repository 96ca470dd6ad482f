package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// operation is a request of an actor. The simulation chooses when it takes effect, and when it is replied to.
type operation struct {
	by     *instance
	name   string
	effect func()
	reply  func(outcome)
	// lasting: it takes effect even after its actor has stopped.
	lasting bool
	call    bool
	// settles is the message that it dead-letters or naks, or nil; it has no reply.
	settles *message

	append *journal.Append
	// holders are the incarnations that the actor's node held at the request.
	holders  []string
	sequence uint64
	err      error

	effective, replied bool
}

func (op *operation) String() string { return op.by.node.name + " " + op.name }

// outcome is how an operation is replied to.
type outcome uint8

const (
	fine outcome = iota
	// lost: the reply of an append never arrived, which counts as a conflict.
	lost
	// failed: the journal, the inbox or the service is unavailable. A call was not performed, and will not be.
	failed
	// doubtful: a call has no answer, and may be performed, now or later.
	doubtful
	// deferred: as doubtful, of a service that is known to be out.
	deferred
	// unsendable: a call was not sent, and never can be.
	unsendable
)

var errAway = &delivery.Failure{Kind: messages.Infrastructure, Err: errors.New("away")}

func (w *simulation) start(op *operation) { w.running = append(w.running, op) }

func (w *simulation) takeEffect(op *operation) {
	op.effective = true
	if op.append != nil {
		w.append(op)
		return
	}
	op.effect()
}

func (w *simulation) respond(op *operation, o outcome) {
	op.replied = true
	if op.by.alive() {
		op.reply(o)
	}
}

// forget removes operations and timers that can have no effect any more.
func (w *simulation) forget() {
	w.running = slices.DeleteFunc(w.running, func(op *operation) bool {
		gone := op.replied || !op.by.alive()
		return gone && (op.effective || op.append == nil && !op.lasting)
	})
	w.waits = slices.DeleteFunc(w.waits, func(t *wait) bool { return !t.by.alive() })
}

// simulatedDeps are the journal, services, inbox and timers of an order actor.
type simulatedDeps struct{ i *instance }

// Append holds the append until the simulation lets it take effect and replies.
func (s simulatedDeps) Append(a *journal.Append) {
	w := s.i.node.w
	sent := &journal.Append{OrderID: a.OrderID, Expected: a.Expected, Kinds: a.Kinds, Body: slices.Clone(a.Body)}
	op := &operation{by: s.i, name: "append " + a.Kinds, append: sent}
	for _, d := range s.i.node.pending {
		op.holders = append(op.holders, d.Incarnation)
	}
	op.reply = func(o outcome) {
		switch o {
		case fine:
			if op.err == nil {
				w.owners[w.truth.Owner] = true
				s.i.knows = true
			}
			a.Done(a, op.sequence, op.err)
		case lost:
			a.Done(a, 0, fmt.Errorf("reply lost: %w", journal.ErrConflict))
		case failed:
			a.Done(a, 0, errAway)
		}
	}
	w.start(op)
}

func (s simulatedDeps) Read(ctx context.Context, _ messages.OrderID) ([]journal.Entry, uint64, error) {
	var entries []journal.Entry
	var fence uint64
	var err error
	answer := s.hold(ctx, "read", func() {
		entries, fence, err = s.i.node.w.store.read()
		s.i.knows = s.i.knows || len(entries) > 0
	}, false)
	return entries, fence, errors.Join(err, answer)
}

func (s simulatedDeps) FirstStored(ctx context.Context, _ messages.OrderID, from uint64) (m messages.StoredMessage, found bool, err error) {
	err = s.hold(ctx, "look back", func() { m, found = s.i.node.w.firstStored(from) }, false)
	return m, found, err
}

func (s simulatedDeps) Stored(ctx context.Context, _ messages.OrderID) (stored []*delivery.Delivery, err error) {
	err = s.hold(ctx, "look around", func() { stored = s.i.node.w.storedNow() }, false)
	return stored, err
}

func (s simulatedDeps) Schedule(ctx context.Context, t messages.Timer) error {
	w := s.i.node.w
	return s.hold(ctx, "schedule", func() {
		w.timer = &t
		w.checkTimer()
	}, true)
}

// hold blocks background work until the simulation has let it take effect and replies.
func (s simulatedDeps) hold(ctx context.Context, name string, effect func(), lasting bool) error {
	w := s.i.node.w
	release := make(chan error)
	op := &operation{by: s.i, name: name, effect: effect, lasting: lasting}
	op.reply = func(o outcome) {
		var err error
		if o != fine {
			err = errAway
		}
		release <- err
	}
	select {
	case w.arrivals <- op:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-release:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s simulatedDeps) Do(c *gateway.Call, done gateway.Done) {
	w := s.i.node.w
	w.checkCall(c)
	if s.i.node.inline {
		done(w.answer(c))
		return
	}
	var reply *messages.StepReply
	var err error
	op := &operation{by: s.i, name: "call " + c.Request.GetStep() + "/" + c.Request.GetDirection(), lasting: true, call: true}
	op.effect = func() { reply, err = w.answer(c) }
	op.reply = func(o outcome) {
		f := &delivery.Failure{Kind: messages.Transient, Err: errors.New("unavailable"), InDoubt: o == doubtful || o == deferred}
		switch o {
		case fine:
			done(reply, err)
			return
		case deferred:
			f.Deferral = &delivery.Deferral{Reason: "it is out", Until: w.now.Add(time.Minute)}
		case unsendable:
			f.Kind = messages.Poison
		}
		done(nil, f)
	}
	w.start(op)
}

// append stores an entry if its fence holds (I3), and checks that it is one the rules allow.
func (w *simulation) append(op *operation) {
	before := *w.truth
	op.sequence, op.err = w.store.append(op.append)
	if fits := op.append.Expected == before.Last; fits != (op.err == nil) {
		w.fail("I3: append %s after %d, while the last entry is %d: %v", op.append.Kinds, op.append.Expected, before.Last, op.err)
		return
	}
	if op.err != nil {
		if !errors.Is(op.err, journal.ErrConflict) {
			w.fail("append: %v", op.err)
		}
		return
	}
	entry := &messages.JournalEntry{}
	if err := proto.Unmarshal(op.append.Body, entry); err != nil {
		w.fail("append: %v", err)
		return
	}
	w.checkEntry(op, entry, &before)
	if err := before.CheckCheckpoint(entry); err != nil {
		w.fail("I7: %v", err)
	}
	for _, e := range entry.Events {
		if u := e.GetStepUndone(); u.GetSignal() != "" {
			// The service has sent the signal because it has undone the step.
			w.undone(w.effects[slices.IndexFunc(w.effects, func(e *effect) bool { return e.step.GetName() == u.GetStep() })])
		}
	}
	w.entries = append(w.entries, journal.Entry{Sequence: op.sequence, Entry: entry})
	if err := w.truth.Apply(op.sequence, entry); err != nil {
		w.fail("an illegal entry was appended: %v", err)
		return
	}
	for _, e := range entry.Events {
		if s := sourceOf(e); s != nil {
			w.recorded[s.GetSequence()] = true
		}
		c, u := e.GetStepCompleted(), e.GetStepUndone()
		if c.GetSkipped() || u.GetSkipped() {
			w.skipped[c.GetStep()+u.GetStep()] = true
		}
	}
	w.checkWakes(entry)
	w.checkJournal()
}

// sourceOf is the message that the event records, or nil.
func sourceOf(e *messages.Event) *messages.Source {
	switch {
	case e.GetCancelRequested() != nil:
		return e.GetCancelRequested().GetSource()
	case e.GetSignalled() != nil:
		return e.GetSignalled().GetSource()
	}
	return e.GetRecorded().GetSource()
}

// store holds the journal of one order.
type store interface {
	id() messages.OrderID
	// append returns an error that wraps journal.ErrConflict when the fence misses.
	append(*journal.Append) (uint64, error)
	// read returns what an actor reads, history all entries.
	read() ([]journal.Entry, uint64, error)
	history() ([]journal.Entry, error)
}

// memoryStore is one in memory.
type memoryStore struct{ *memory }

func newMemoryStore() *memoryStore {
	return &memoryStore{&memory{Journal: &journaltest.Journal{}}}
}

func (*memoryStore) id() messages.OrderID { return id }

func (s *memoryStore) read() ([]journal.Entry, uint64, error) {
	entries, fence := s.Journal.Read(id)
	return entries, fence, nil
}

func (s *memoryStore) history() ([]journal.Entry, error) { return s.History(id), nil }
