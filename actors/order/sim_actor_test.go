package order_test

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// driver does with the core what the order actor does: the same fields, the same decisions in the same order. Its
// reads, appends, calls, look-ups and schedules are operations of the world, which completes, delays or loses them.
type driver struct {
	w    *world
	node *node

	state   *order.State
	current bool
	held    []*messages.Delivery
	earlier order.Earlier
	drives  *messages.Delivery
	giveUp  *messages.Failure
	busy    bool
	call    *operation
	answer  *order.Answer
}

// purpose says what an append is for.
type purpose uint8

const (
	toDrive purpose = iota + 1
	toAck
	toGo
	toRestart
)

func (a *driver) hold(d *messages.Delivery) {
	if d != a.drives && !slices.Contains(a.held, d) {
		a.held = append(a.held, d)
	}
	a.advance()
}

func (a *driver) alive() bool { return a.node.actor == a }

func (a *driver) advance() {
	for a.alive() && !a.busy {
		switch {
		case a.answer != nil:
			a.settleAnswer()
		case len(a.held) > 0:
			a.decide()
		case a.drives != nil && a.call == nil:
			a.drive()
		default:
			return
		}
	}
}

func (a *driver) decide() {
	d := a.held[0]
	fresh := d.Fresh()
	d.Begun = true
	if a.state == nil && d.Type == messages.TypeCreated && fresh {
		a.state, a.current = &order.State{}, true
	}
	if !a.current && a.drives == nil && (a.state == nil || !a.state.Status.Terminal()) {
		a.read()
		return
	}
	decision := order.Receive(a.state, d, order.Circumstances{Plan: a.w.plan, Now: a.w.now, UnknownAge: time.Minute, Earlier: a.earlier})
	a.current = false
	switch decision.Verb {
	case order.Ack:
		a.finish(messages.Done())
	case order.Drive:
		a.begin()
	case order.AppendAndDrive:
		a.append(decision.Events, toDrive)
	case order.AppendAndAck:
		a.append(decision.Events, toAck)
	case order.Reschedule:
		a.schedule(func() { a.finish(messages.Done()) })
	case order.Wait:
		a.finish(messages.Later(decision.Delay))
	case order.Bury:
		a.finish(messages.Dead(decision.Reason))
	case order.AskEarlier:
		a.lookBack(d)
	default:
		a.w.t.Fatalf("no verb for %s", d.Type)
	}
}

func (a *driver) finish(outcome messages.Outcome) { a.node.settle(a.take(), outcome) }

func (a *driver) take() *messages.Delivery {
	d := a.held[0]
	a.held = a.held[1:]
	a.earlier = order.Unasked
	return d
}

func (a *driver) begin() {
	if a.drives != nil {
		a.node.settle(a.drives, messages.Dropped())
	}
	a.drives = a.take()
}

func (a *driver) drive() {
	if a.giveUp != nil {
		a.append(a.state.GiveUp(a.giveUp), toGo)
		return
	}
	move := a.state.Next()
	if len(move.Events) > 0 {
		a.append(move.Events, toGo)
		return
	}
	a.startCall(move.Call)
}

func (a *driver) settleAnswer() {
	s := a.state.Settle(*a.answer, a.w.policy, a.w.now)
	if len(s.Events) == 0 {
		a.answer = nil
		return
	}
	next := toGo
	if s.Then == order.Restart {
		next = toRestart
	}
	a.append(s.Events, next)
}

// append journals the events, fenced by the last entry this driver knows.
func (a *driver) append(events []*messages.Event, next purpose) {
	entry := &messages.JournalEntry{
		OrderId: string(id), Number: a.state.Number + 1, Time: timestamppb.New(a.w.now), Node: a.node.name, Events: events,
	}
	op := &operation{actor: a, name: "append " + write(events), entry: entry, expected: a.state.Last, by: a.drives}
	if next == toDrive {
		op.by = a.held[0]
	}
	a.busy = true
	op.reply = func(o outcome) {
		a.busy = false
		switch o {
		case lost:
			a.read()
			return
		case failed:
			a.node.fail(false)
			return
		}
		if op.seq == 0 {
			a.read()
			return
		}
		if err := a.state.Apply(op.seq, entry); err != nil {
			a.w.t.Fatalf("the driver's own entry: %v", err)
		}
		if a.state.Last == a.w.truth().Last {
			if d := difference(a.state, a.w.truth()); d != "" {
				a.w.t.Fatalf("I7: the driver's view differs from the journal: %s", d)
			}
		}
		switch next {
		case toAck:
			a.finish(messages.Done())
		case toDrive:
			a.begin()
		case toRestart:
			a.node.fail(false)
		case toGo:
			a.answer, a.giveUp = nil, nil
			a.rest()
		}
	}
	a.w.start(op)
}

func (a *driver) rest() {
	switch {
	case a.state.Status == order.Parked:
		a.schedule(a.release)
	case !a.state.Status.Driven():
		a.release()
	}
}

func (a *driver) release() {
	a.node.settle(a.drives, messages.Done())
	a.drives, a.call, a.current = nil, nil, false
}

func (a *driver) read() {
	a.busy = true
	state := &order.State{}
	a.w.start(&operation{
		actor: a, name: "read",
		effect: func() {
			for i, e := range a.w.history.entries {
				if err := state.Apply(stored(uint32(i)+1), e); err != nil {
					a.w.t.Fatal(err)
				}
			}
		},
		reply: func(o outcome) {
			a.busy = false
			if o != fine {
				a.node.fail(false)
				return
			}
			a.merge(state)
		},
	})
}

// merge takes over what the journal tells (R4).
func (a *driver) merge(state *order.State) {
	a.state, a.current = state, true
	if a.drives != nil && (state.Driver != order.SourceOf(a.drives) || state.Owner != a.drives.Incarnation) {
		a.node.settle(a.drives, messages.Dropped())
		a.drives, a.call, a.answer, a.giveUp = nil, nil, nil, nil
	}
}

func (a *driver) lookBack(d *messages.Delivery) {
	a.busy = true
	state, earlier := a.state, order.Clear
	a.w.start(&operation{
		actor: a, name: "look back",
		effect: func() {
			for from := state.Watermark + 1; from < d.Sequence; {
				seq, ok := a.w.firstStored(from)
				if !ok || seq >= d.Sequence {
					break
				}
				if seq != state.Accepted || state.Status == order.None {
					earlier = order.Open
					break
				}
				from = seq + 1
			}
		},
		reply: func(o outcome) {
			a.busy = false
			if o != fine {
				a.node.fail(false)
				return
			}
			a.earlier, a.current = earlier, true
		},
	})
}

func (a *driver) schedule(then func()) {
	a.busy = true
	t := &timer{park: a.state.Park, at: a.state.ParkedUntil}
	a.w.start(&operation{
		actor: a, name: "schedule", lasting: true,
		effect: func() { a.w.timer = t },
		reply: func(o outcome) {
			a.busy = false
			if o != fine {
				a.node.fail(false)
				return
			}
			then()
		},
	})
}

func (a *driver) startCall(c order.Call) {
	if c.Direction == messages.Do && c.Settling == (a.state.Status == order.Running) {
		a.w.t.Fatalf("a call in status %s says settling=%v", a.state.Status, c.Settling)
	}
	var reply *messages.StepReply
	op := &operation{actor: a, name: "call " + a.state.Plan.Steps[c.Step].GetName() + "/" + c.Direction.Word(), lasting: true, call: true}
	op.effect = func() { reply = a.w.answer(c) }
	op.reply = func(o outcome) {
		if a.call != op {
			return
		}
		a.call = nil
		a.answer = &order.Answer{Call: c, Reply: reply}
		if o != fine {
			a.answer.Reply, a.answer.Failure = nil, unavailable(messages.Transient)
		}
	}
	a.call = op
	a.w.start(op)
}
