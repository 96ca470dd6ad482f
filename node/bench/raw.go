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

// rawLoop makes, for each message, the appends the engine makes for a four-step order, each fenced by the one before,
// and acknowledges. It is the engine without the engine: no decoding, no actor, no decision, no step, no second
// delivery; the entries are encoded beforehand and as large as the engine's. It consumes with the client library's own
// Consume, and appends through the engine's journal, which is faster than the library's asynchronous publish: the raw
// loop is the fastest that is known.
type rawLoop struct {
	journal *journal.Journal
	consume jetstream.ConsumeContext
	// acks, if not nil, acknowledges many messages at a time, as the engine does then.
	acks   *ingress.Acknowledger
	bodies [][]byte
	room   chan struct{}
	failed chan error
	// holding: orders stay where they are after their first entry.
	holding bool
	held    atomic.Int64
}

// kinds are the entries of a four-step order that meets no trouble.
var kinds = [...]string{"accepted", "step_completed", "step_completed", "step_completed", "step_completed,completed"}

// buffered is how many messages the client library may hold beyond those in flight: its default.
const buffered = 500

func startRaw(ctx context.Context, g *ground, inFlight int, holding bool) (*rawLoop, error) {
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
	r := &rawLoop{journal: j, bodies: bodies, room: make(chan struct{}, inFlight), failed: make(chan error, 1), holding: holding}
	if g.mode == Strict {
		r.acks = ingress.NewAcknowledger(js, ackWait, slog.Default())
	}
	if r.consume, err = consumer.Consume(r.take, jetstream.PullMaxMessages(buffered)); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rawLoop) inFlight() int { return int(r.held.Load()) }

// raw is one order in the raw loop.
type raw struct {
	journal.Append
	loop  *rawLoop
	msg   jetstream.Msg
	entry int
}

func (r *rawLoop) take(m jetstream.Msg) {
	r.room <- struct{}{}
	o := &raw{loop: r, msg: m}
	o.OrderID = messages.OrderID(strings.TrimPrefix(m.Subject(), messages.SubjectOrder))
	o.Done = o.done
	o.append(0)
}

func (o *raw) append(expected uint64) {
	o.Expected, o.Kinds, o.Body = expected, kinds[o.entry], o.loop.bodies[o.entry]
	o.loop.journal.Append(&o.Append)
}

func (o *raw) done(_ *journal.Append, sequence uint64, err error) {
	if err != nil {
		o.loop.fail(err)
		<-o.loop.room
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
	<-o.loop.room
}

func (o *raw) acknowledge() error {
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
	r.finish(ctx)
	r.close()
	select {
	case err := <-r.failed:
		return fmt.Errorf("raw loop: %w", err)
	default:
		return nil
	}
}

// finish waits for the orders under way: a follower of the journal sees an entry before the reply to its append is here.
func (r *rawLoop) finish(ctx context.Context) {
	for range cap(r.room) - r.inFlight() {
		select {
		case r.room <- struct{}{}:
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
