package crash_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

const (
	// publishers is how many messages are published at once.
	publishers = 48
	// publishTimeout bounds one attempt to publish; the message may be stored all the same.
	publishTimeout = time.Second
)

// sent is what the client knows of an order.
type sent struct {
	order *messages.OrderCreated
	// refused: a service, or the engine itself, must refuse it.
	refused bool
	// copies are the acknowledged sequences of its created messages, tries the attempts to publish one.
	copies []uint64
	tries  int
	// cancelTries counts the attempts to publish a cancel.
	cancelTries int
	// conflicting is the sequence of a created message with other content under the same id, or 0.
	conflicting uint64
}

// load publishes orders as a client does: repeatedly until JetStream has acknowledged each.
type load struct {
	w          *testEnv
	seed       uint64
	limit      *rate.Limiter
	tokens     chan struct{}
	publishing sync.WaitGroup
	ctx        context.Context

	// acknowledged counts orders, next is the number of the next one.
	acknowledged atomic.Int64
	next         int
	// signals: the services publish some too, an unknown number.
	signals bool
	// ordersOnly: the client publishes neither cancels nor bad messages.
	ordersOnly bool

	mu     sync.Mutex
	orders map[messages.OrderID]*sent
	// bad maps the sequences of acknowledged bad messages to their defects; badTries counts the attempts to publish one.
	bad      map[uint64]string
	badTries int
}

func newLoad(w *testEnv, seed uint64) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		w: w, seed: seed, limit: rate.NewLimiter(rate.Inf, 1), tokens: make(chan struct{}, publishers), ctx: ctx,
		orders: map[messages.OrderID]*sent{}, bad: map[uint64]string{},
	}
	w.Cleanup(func() { cancel(); l.publishing.Wait() })
	return l
}

// add publishes n more orders in the background.
func (l *load) add(n int) {
	for range n {
		number := l.next
		l.next++
		l.publishing.Go(func() {
			l.tokens <- struct{}{}
			defer func() { <-l.tokens }()
			if l.limit.Wait(l.ctx) == nil {
				l.publish(number)
			}
		})
	}
}

// done reports whether the publish of every requested order is acknowledged.
func (l *load) done() bool { return l.acknowledged.Load() == int64(l.next) }

// end waits until everything requested is published.
func (l *load) end() {
	l.w.Helper()
	ended := make(chan struct{})
	go func() { l.publishing.Wait(); close(ended) }()
	natstest.Receive(l.w, ended, "everything is published after the last disturbance")
}

// publish publishes the client's n-th order and the messages about it.
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
	if l.ordersOnly {
		return
	}
	if r.IntN(10) == 0 {
		l.sleep(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
		l.send(func() *nats.Msg { return cancelMsg(id) }, func() { s.cancelTries++ })
	}
	if r.IntN(12) == 0 {
		l.publishBad(s, r)
	}
}

func (l *load) publishBad(s *sent, r *rand.Rand) {
	m, defect := badMessage(s.order, r)
	seq := l.send(func() *nats.Msg { return m }, func() { l.mu.Lock(); l.badTries++; l.mu.Unlock() })
	if seq == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad[seq] = defect
	if defect == conflictingContent {
		s.conflicting = seq
	}
}

// send publishes until JetStream acknowledges, and returns the sequence; 0 when the test is over. It calls try before each
// attempt.
func (l *load) send(message func() *nats.Msg, try func()) uint64 {
	for l.ctx.Err() == nil {
		try()
		ctx, cancel := context.WithTimeout(l.ctx, publishTimeout)
		ack, err := l.w.js.PublishMsg(ctx, message())
		cancel()
		if err == nil {
			return ack.Sequence
		}
		l.sleep(10 * time.Millisecond)
	}
	return 0
}

// sleep returns early when the test is over.
func (l *load) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}

// refused reports whether a service refuses the order.
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
		m.Data, _ = messages.MarshalJSON(o)
	} else {
		m.Data, _ = proto.Marshal(o)
	}
	return m
}

// orderMsg is a message about an order.
func orderMsg(id messages.OrderID, t messages.Type, body string) *nats.Msg {
	m := nats.NewMsg(messages.SubjectOrder + string(id))
	m.Header.Set(messages.HeaderType, string(t))
	m.Data = []byte(body)
	return m
}

func cancelMsg(id messages.OrderID) *nats.Msg {
	return orderMsg(id, messages.TypeCancel, `{"reason":"changed my mind"}`)
}

const (
	// conflictingContent is the defect of a created message with another order's id.
	conflictingContent = "conflicting content"
	// conflictingCustomer is the customer in conflicting content.
	conflictingCustomer = "somebody-else"
)

// badMessage makes a message that can only become a dead letter.
func badMessage(o *messages.OrderCreated, r *rand.Rand) (m *nats.Msg, defect string) {
	id := messages.OrderID(o.GetOrderId())
	switch r.IntN(5) {
	case 0:
		m = created(o, true)
		m.Data = []byte(`{"order_id": "cut`)
		return m, "undecodable"
	case 1:
		m = created(o, true)
		m.Subject += "-other"
		return m, "subject and id differ"
	case 2:
		return orderMsg(id, "order.eaten", ""), "unknown type"
	case 3:
		return cancelMsg("xxxx" + id), "no such order"
	default:
		other := proto.CloneOf(o)
		other.CustomerId = conflictingCustomer
		return created(other, false), conflictingContent
	}
}
