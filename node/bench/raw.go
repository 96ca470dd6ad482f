package bench

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

// rawLoop makes for each message the appends that the engine makes for a four-step order, each fenced by the one before, and
// acknowledges. It decodes nothing, has no actors, steps or redeliveries, and its entries are encoded beforehand, with the size
// of the engine's. It consumes with Consume of nats.go, and appends through the engine's journal, which is faster than the
// asynchronous publish of nats.go.
type rawLoop struct {
	journal *journal.Journal
	consume jetstream.ConsumeContext
	// acks acknowledges many messages at a time, as the engine does in this mode; nil: one by one.
	acks   *ingress.Acknowledger
	bodies [][]byte
	slots  chan struct{}
	failed chan error
	// holding: orders stay in memory after their first entry.
	holding bool
	held    atomic.Int64
}

// kinds are the entries of a four-step order without failures.
var kinds = [...]string{"accepted", "step_completed", "step_completed", "step_completed", "step_completed,completed"}

// buffered is the number of messages that nats.go buffers beyond those in flight: its default.
const buffered = 500

func startRaw(ctx context.Context, g *benchServer, inFlight int, holding bool) (*rawLoop, error) {
	bodies, err := sampleBodies()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(g.engine)
	if err != nil {
		return nil, err
	}
	consumer, err := js.Consumer(ctx, messages.StreamOrders, messages.Consumer)
	if err != nil {
		return nil, err
	}
	j, err := journal.New(js, journal.Config{GroupCommit: g.mode == Strict, AckTimeout: ackWait})
	if err != nil {
		return nil, err
	}
	r := &rawLoop{journal: j, bodies: bodies, slots: make(chan struct{}, inFlight), failed: make(chan error, 1), holding: holding}
	if g.mode == Strict {
		r.acks = ingress.NewAcknowledger(js, ackWait, slog.Default())
	}
	if r.consume, err = consumer.Consume(r.start, jetstream.PullMaxMessages(buffered)); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rawLoop) inFlight() int { return int(r.held.Load()) }

// rawOrder is one order in the raw loop.
type rawOrder struct {
	journal.Append
	loop  *rawLoop
	msg   jetstream.Msg
	entry int
}

func (r *rawLoop) start(m jetstream.Msg) {
	r.slots <- struct{}{}
	o := &rawOrder{loop: r, msg: m}
	o.OrderID = messages.OrderID(strings.TrimPrefix(m.Subject(), messages.SubjectOrder))
	o.Done = o.appended
	o.append(0)
}

func (o *rawOrder) append(expected uint64) {
	o.Expected, o.Kinds, o.Body = expected, kinds[o.entry], o.loop.bodies[o.entry]
	o.loop.journal.Append(&o.Append)
}

func (o *rawOrder) appended(_ *journal.Append, sequence uint64, err error) {
	if err != nil {
		o.loop.fail(err)
		<-o.loop.slots
		return
	}
	if o.loop.holding {
		o.loop.held.Add(1)
		return
	}
	if o.entry++; o.entry < len(kinds) {
		o.append(sequence)
		return
	}
	if err := o.acknowledge(); err != nil {
		o.loop.fail(err)
	}
	<-o.loop.slots
}

func (o *rawOrder) acknowledge() error {
	if o.loop.acks == nil {
		return o.msg.Ack()
	}
	meta, err := o.msg.Metadata()
	if err != nil {
		return err
	}
	o.loop.acks.Ack(meta.Sequence.Stream, o.msg.Reply())
	return nil
}

func (r *rawLoop) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

func (r *rawLoop) stop(ctx context.Context) error {
	r.consume.Stop()
	<-r.consume.Closed()
	r.untilIdle(ctx)
	r.close()
	select {
	case err := <-r.failed:
		return fmt.Errorf("raw loop: %w", err)
	default:
		return nil
	}
}

// untilIdle waits for the orders in flight: their last entry can be read before the reply to its append arrives.
func (r *rawLoop) untilIdle(ctx context.Context) {
	for range cap(r.slots) - r.inFlight() {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

func (r *rawLoop) close() {
	if r.acks != nil {
		r.acks.Close()
	}
	r.journal.Close()
}

// sampleBodies are entries of the size the engine writes.
func sampleBodies() ([][]byte, error) {
	o := demo.Samples(1, 1)[0]
	source := &messages.Source{Stream: messages.StreamOrders, Sequence: 123_456}
	events := [][]*messages.Event{{{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: o, Plan: plan.Sim("sim:"), Driver: source, Incarnation: strings.Repeat("i", 22),
	}}}}}
	for _, s := range plan.Sim("sim:").GetSteps() {
		events = append(events, []*messages.Event{{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
			Step: s.GetName(), Attempt: 1, TookUs: 3,
		}}}})
	}
	last := len(events) - 1
	events[last] = append(events[last], &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}})
	var bodies [][]byte
	for i, es := range events {
		body, err := journal.Encode(nil, &messages.JournalEntry{
			OrderId: o.GetOrderId(), Number: uint32(i + 1), Time: timestamppb.Now(), Node: benchNode, Events: es,
		})
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

const benchNode = "bench-0000"
