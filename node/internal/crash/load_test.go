package crash_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

const (
	// publishers is how many messages are on their way to the inbox at once.
	publishers = 48
	// patience with one publish; then it is tried again, and may be stored twice.
	patience = time.Second
)

// sent is what the client knows of an order.
type sent struct {
	order *messages.OrderCreated
	// refused: some service, or the engine itself, must say no.
	refused bool
	// copies are the acknowledged sequences of its created messages, cancels those of its cancels.
	copies, cancels []uint64
	// rival is the sequence of a created message with other content under the same id, or 0.
	rival uint64
	// tries counts the publishes of its created message that may have been stored.
	tries int
	// cancelTries counts those of its cancels.
	cancelTries int
}

// load publishes orders, as any client would: again and again until JetStream has acknowledged each.
type load struct {
	w       *world
	seed    uint64
	limit   *rate.Limiter
	queue   chan int
	workers sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
	closed  sync.Once

	acknowledged atomic.Int64

	mu     sync.Mutex
	next   int
	orders map[messages.OrderID]*sent
	// bad messages that were acknowledged, by sequence, with what is wrong about them.
	bad      map[uint64]string
	badTries int
	// signals: the services publish some too, whose number nobody knows.
	signals bool
	// calm: clients publish nothing but orders.
	calm bool
}

func newLoad(w *world, seed uint64) *load {
	ctx, cancel := context.WithCancel(context.Background())
	return &load{
		w: w, seed: seed, limit: rate.NewLimiter(rate.Inf, 1), queue: make(chan int, 1<<20), ctx: ctx, cancel: cancel,
		orders: map[messages.OrderID]*sent{}, bad: map[uint64]string{},
	}
}

// begin starts the publishers.
func (l *load) begin() {
	l.w.Cleanup(func() { l.cancel(); l.workers.Wait() })
	for range publishers {
		l.workers.Go(func() {
			for {
				select {
				case <-l.ctx.Done():
					return
				case n, ok := <-l.queue:
					if !ok {
						return
					}
					if l.limit.Wait(l.ctx) == nil {
						l.publish(n)
					}
				}
			}
		})
	}
}

// add asks for n more orders.
func (l *load) add(n int) {
	for range n {
		l.queue <- l.next
		l.next++
	}
}

// done reports whether every order asked for is acknowledged.
func (l *load) done() bool { return l.acknowledged.Load() == int64(l.next) }

// end waits until everything asked for is acknowledged, and stops the publishers.
func (l *load) end() {
	l.w.Helper()
	l.closed.Do(func() { close(l.queue) })
	finished := make(chan struct{})
	go func() { l.workers.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(time.Minute):
		l.w.Fatalf("%d of %d orders are not acknowledged a minute after the last disturbance", int64(l.next)-l.acknowledged.Load(), l.next)
	}
}

// publish is what happens to the client's n-th order.
func (l *load) publish(n int) {
	r := rand.New(rand.NewPCG(l.seed, uint64(n)+1))
	o := demo.Samples(30, l.seed+uint64(n/30)<<8)[n%30]
	s := &sent{order: o, refused: refused(o)}
	if r.IntN(40) == 0 {
		o.CustomerId, s.refused = "", true // invalid
	}
	id := messages.OrderID(o.GetOrderId())
	l.mu.Lock()
	l.orders[id] = s
	l.mu.Unlock()

	copies := 1
	if r.IntN(12) == 0 {
		copies = 2
	}
	for range copies {
		seq := l.send(func() *nats.Msg { return created(o, r.IntN(2) == 0) }, func() { s.tries++ })
		if seq == 0 {
			return
		}
		s.copies = append(s.copies, seq)
	}
	l.acknowledged.Add(1)
	if l.calm {
		return
	}
	if r.IntN(10) == 0 {
		l.rest(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
		if seq := l.send(func() *nats.Msg { return cancel(id) }, func() { s.cancelTries++ }); seq != 0 {
			s.cancels = append(s.cancels, seq)
		}
	}
	if r.IntN(12) == 0 {
		l.publishBad(s, r)
	}
}

func (l *load) publishBad(s *sent, r *rand.Rand) {
	m, wrong := spoil(s.order, r)
	if seq := l.send(func() *nats.Msg { return m }, func() { l.mu.Lock(); l.badTries++; l.mu.Unlock() }); seq != 0 {
		l.mu.Lock()
		l.bad[seq] = wrong
		l.mu.Unlock()
		if wrong == otherContent {
			s.rival = seq
		}
	}
}

// send publishes until JetStream acknowledges, and returns the sequence; 0 when the test is over.
func (l *load) send(message func() *nats.Msg, try func()) uint64 {
	for l.ctx.Err() == nil {
		try()
		ctx, cancel := context.WithTimeout(l.ctx, patience)
		ack, err := l.w.js.PublishMsg(ctx, message())
		cancel()
		if err == nil {
			return ack.Sequence
		}
		l.rest(10 * time.Millisecond)
	}
	return 0
}

func (l *load) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}

// refused reports whether a service says no to the order.
func refused(o *messages.OrderCreated) bool {
	if o.GetCustomerId() == demo.CustomerDeclined {
		return true
	}
	for _, item := range o.GetItems() {
		if p := item.GetProductId(); p == demo.ProductOutOfStock || p == demo.ProductTooHeavy {
			return true
		}
	}
	return false
}

func created(o *messages.OrderCreated, inJSON bool) *nats.Msg {
	m := nats.NewMsg(messages.SubjectOrder + o.GetOrderId())
	if inJSON {
		m.Data, _ = protojson.Marshal(o)
	} else {
		m.Data, _ = proto.Marshal(o)
	}
	return m
}

func cancel(id messages.OrderID) *nats.Msg {
	m := nats.NewMsg(messages.SubjectOrder + string(id))
	m.Header.Set(messages.HeaderType, string(messages.TypeCancel))
	m.Data = []byte(`{"reason":"changed my mind"}`)
	return m
}

const (
	// otherContent: the id is another order's.
	otherContent = "other content"
	// rivalCustomer is that of orders with other content.
	rivalCustomer = "somebody-else"
)

// spoil makes a message that can only become a dead letter.
func spoil(o *messages.OrderCreated, r *rand.Rand) (*nats.Msg, string) {
	id := o.GetOrderId()
	switch r.IntN(5) {
	case 0:
		m := nats.NewMsg(messages.SubjectOrder + id)
		m.Data = []byte(`{"order_id": "cut`)
		return m, "undecodable"
	case 1:
		m := created(o, true)
		m.Subject = messages.SubjectOrder + id + "-other"
		return m, "subject and id differ"
	case 2:
		m := nats.NewMsg(messages.SubjectOrder + id)
		m.Header.Set(messages.HeaderType, "order.eaten")
		return m, "unknown type"
	case 3:
		return cancel(messages.OrderID(strings.Repeat("x", 4) + id)), "no such order"
	default:
		other := proto.CloneOf(o)
		other.CustomerId = rivalCustomer
		return created(other, false), otherContent
	}
}
