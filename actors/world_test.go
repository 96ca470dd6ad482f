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

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The actor system's event stream logger lives as long as the process.
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewThrottle.func1"),
		// The throttle of the dead letters log ends by itself, a second after it began.
		goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"),
	)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// memory is a journal in memory, with faults on demand.
type memory struct {
	mu       sync.Mutex
	sequence uint64
	entries  map[messages.OrderID][]journal.Entry
	reads    int
	fenced   int
	log      *record
	// before is asked before an append; what it returns instead of nil is the append's error.
	before func(kinds string) error
	// loseReply stores the append and answers ErrConflict once, for the kinds given.
	loseReply string
	// readErr fails reads, readPanic breaks off one.
	readErr   error
	readPanic bool
}

func (m *memory) Append(a *journal.Append) {
	seq, err := m.append(a)
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
	var last uint64
	if es := m.entries[a.OrderID]; len(es) > 0 {
		last = es[len(es)-1].Sequence
	}
	if last != a.Expected {
		m.fenced++
		return 0, fmt.Errorf("fence: %w", journal.ErrConflict)
	}
	m.sequence++
	entry := &messages.JournalEntry{}
	if err := proto.Unmarshal(a.Body, entry); err != nil {
		return 0, err
	}
	m.entries[a.OrderID] = append(m.entries[a.OrderID], journal.Entry{Sequence: m.sequence, Entry: entry})
	m.log.add("append " + a.Kinds)
	if m.loseReply == a.Kinds {
		m.loseReply = ""
		return 0, fmt.Errorf("reply lost: %w", journal.ErrConflict)
	}
	return m.sequence, nil
}

func (m *memory) Read(_ context.Context, id messages.OrderID) ([]journal.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.readPanic {
		m.readPanic = false
		panic("no such page")
	}
	return short(m.entries[id]), m.readErr
}

func (m *memory) readSoFar() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// short is the first entry and those from the last checkpoint on.
func short(entries []journal.Entry) []journal.Entry {
	for i := len(entries) - 1; i > 0; i-- {
		if messages.Readable(entries[i].Entry.GetCheckpoint()) {
			return slices.Concat(entries[:1], entries[i:])
		}
	}
	return slices.Clone(entries)
}

func (m *memory) kinds(id messages.OrderID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, e := range m.entries[id] {
		all = append(all, journal.Kinds(e.Entry))
	}
	return strings.Join(all, " ")
}

// record is what happened, in order.
type record struct {
	mu    sync.Mutex
	lines []string
	moved chan struct{}
}

func (r *record) add(line string) {
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

// downstream answers step calls as told; what nothing is told for is done at once.
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
	d.log.add(fmt.Sprintf("call %s #%d", key, c.Request.Attempt))
	d.calls[key], d.token[key] = c, c.Request.FencingToken
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

// release answers the call that was held back.
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
		data, _ := structpb.NewValue(map[string]any{"ref": "r-1"})
		return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}
	case "rejected":
		return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: "declined", Reason: "no funds"}}}
	case "pending":
		return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{Signal: "paid"}}}
	}
	panic("no reply " + word)
}

var errDownstream = &messages.Failure{Kind: messages.Transient, Err: errors.New("unavailable")}

// inbox knows the stored messages of every order.
type inbox struct {
	mu     sync.Mutex
	stored []uint64
	// created are those of the messages that create the order.
	created []uint64
}

func (i *inbox) FirstStored(_ context.Context, _ messages.OrderID, from uint64) (messages.Stored, bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, seq := range i.stored {
		if seq >= from {
			m := messages.Stored{Sequence: seq, Type: messages.TypeSignal}
			if slices.Contains(i.created, seq) {
				m.Type = messages.TypeCreated
			}
			return m, true, nil
		}
	}
	return messages.Stored{}, false, nil
}

// timers remember what was scheduled.
type timers struct {
	log    *record
	latest messages.Timer
}

func (s *timers) Schedule(_ context.Context, t messages.Timer) error {
	s.latest = t
	s.log.add(fmt.Sprintf("schedule %d", t.Park))
	return nil
}

// parent is a supervisor that notes everything and restarts a failed child when told to.
type parent struct {
	log   *record
	child *actor.PID
	order func() actor.Actor
	spawn chan *actor.PID
}

func (p *parent) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, another:
		p.child = ctx.Spawn(actor.PropsFromProducer(p.order))
		p.spawn <- p.child
	case *messages.Settled:
		p.log.add(fmt.Sprintf("settle %d %s", m.Delivery.Sequence, m.Outcome))
	}
}

func (p *parent) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	f := messages.AsFailure(reason)
	p.log.add("fail " + f.Kind.Word())
	s.RestartChildren(child)
}

// another asks the parent for another child.
type another struct{}

// stage is one order actor in a world of fakes.
type stage struct {
	*record
	memory *memory
	steps  *downstream
	inbox  *inbox
	timers *timers
	system *actor.ActorSystem
	parent *parent
	top    *actor.PID
	order  *actor.PID

	mu     sync.Mutex
	alarms []func()
}

const id = messages.OrderID("o-1")

var testPlan = &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{
	{Name: "reserve", Do: "sim:", Undo: "sim:"},
	{Name: "pay", Do: "sim:", Undo: "sim:"},
	{Name: "ship", Do: "sim:", Undo: "sim:"},
}}

func newStage(t *testing.T, policy messages.Policy) *stage {
	t.Helper()
	log := &record{moved: make(chan struct{})}
	s := &stage{
		record: log,
		memory: &memory{entries: map[messages.OrderID][]journal.Entry{}, log: log},
		steps:  &downstream{log: log, plan: map[string][]answer{}, open: map[string]gateway.Done{}, calls: map[string]*gateway.Call{}, token: map[string]uint64{}},
		inbox:  &inbox{},
		timers: &timers{log: log},
		system: actor.NewActorSystem(),
	}
	if policy == nil {
		policy = func(messages.FailureKind, messages.History) messages.Directive {
			return messages.Directive{Action: messages.ActRestart}
		}
	}
	orders, err := actors.NewOrders(actors.World{
		Journal: s.memory, Steps: s.steps, Inbox: s.inbox, Timers: s.timers, Policy: policy,
	}, actors.Config{Node: "n-1", Plan: testPlan, After: s.after})
	if err != nil {
		t.Fatal(err)
	}
	s.parent = &parent{log: log, order: orders.Produce, spawn: make(chan *actor.PID, 1)}
	s.top = s.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s.parent }))
	s.order = <-s.parent.spawn
	t.Cleanup(orders.Close)
	t.Cleanup(func() {
		if err := s.system.Root.StopFuture(s.top).Wait(); err != nil {
			t.Error(err)
		}
		s.system.Shutdown()
	})
	return s
}

// forget puts an actor that remembers nothing in the place of the one there is.
func (s *stage) forget() {
	s.system.Root.Send(s.top, another{})
	s.order = <-s.parent.spawn
}

// after notes that an actor keeps something, until ring.
func (s *stage) after(d time.Duration, f func()) {
	s.mu.Lock()
	s.alarms = append(s.alarms, f)
	s.mu.Unlock()
	s.add(fmt.Sprintf("keep for %s", d))
}

// ring lets all that was set pass.
func (s *stage) ring() {
	s.mu.Lock()
	alarms := s.alarms
	s.alarms = nil
	s.mu.Unlock()
	for _, f := range alarms {
		f()
	}
}

func (s *stage) deliver(d *messages.Delivery) { s.system.Root.Send(s.order, d) }

var deliveries = struct {
	sync.Mutex
	n int
}{}

// delivery of an inbox message; count is how often it was delivered.
func delivery(t messages.Type, seq, count uint64) *messages.Delivery {
	deliveries.Lock()
	deliveries.n++
	incarnation := fmt.Sprintf("i-%d", deliveries.n)
	deliveries.Unlock()
	d := &messages.Delivery{
		OrderID: id, Type: t, Stream: messages.StreamOrders, Sequence: seq, Deliveries: count,
		Stored: time.Now(), Received: time.Now(), Incarnation: incarnation,
	}
	switch t {
	case messages.TypeCreated:
		d.Created = &messages.OrderCreated{OrderId: string(id), CustomerId: "c-1", Currency: "USD", TotalAmount: 2,
			Items: []*messages.OrderItem{{ProductId: "p", Quantity: 2, UnitPrice: 1}}}
	case messages.TypeCancel:
		d.Cancel = &messages.CancelOrder{Reason: "changed my mind"}
	case messages.TypeSignal:
		d.Signal = &messages.SignalOrder{Name: "paid"}
	}
	return d
}
