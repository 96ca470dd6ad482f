package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// Inbox takes messages about orders and wake-ups in and settles their deliveries.
type Inbox struct {
	js      jetstream.JetStream
	nc      *nats.Conn
	cfg     Config
	log     *slog.Logger
	deliver func(*delivery.Delivery)
	lookup  *Lookup
	pullers [2]*puller
	// base carries nothing; instruments want a context.
	base        context.Context
	instruments *instruments
	start       time.Time
	flight      flight
	undertaker  *undertaker
	// acks, if not nil, acknowledges messages about orders.
	acks *Acknowledger

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns an inbox that hands what it takes in to deliver. The streams have to exist. Deliver is called by several
// goroutines at once, must not block, and may settle before it returns; a panic of it makes the message a dead letter.
// Call Drain in the end, whether or not Run was called.
func New(js jetstream.JetStream, cfg Config, deliver func(*delivery.Delivery)) (*Inbox, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	i := &Inbox{
		js: js, nc: js.Conn(), cfg: cfg, log: cfg.Logger, deliver: deliver, lookup: NewLookup(js),
		base: context.Background(), start: time.Now(),
	}
	if room := cfg.room(); room < cfg.MaxInFlight {
		cfg.Logger.Info("fewer orders are held than configured: a longer ack wait makes room for more", "max_in_flight", room, "ack_wait", cfg.AckWait)
	}
	orders, wakes := cfg.shares()
	i.pullers = [2]*puller{
		newPuller(i.nc, i.lookup.api, messages.StreamOrders, orders),
		newPuller(i.nc, i.lookup.api, messages.StreamTimers, wakes),
	}
	for _, p := range i.pullers {
		p.receive, p.giveBack = i.receive, i.giveBack
	}
	var err error
	if i.instruments, err = newInstruments(cfg.Meter, i.flight.size); err != nil {
		return nil, fmt.Errorf("create the inbox's instruments: %w", err)
	}
	if i.undertaker, err = newUndertaker(i); err != nil {
		i.instruments.close()
		return nil, err
	}
	if cfg.GroupAck {
		i.acks = NewAcknowledger(js, cfg.AckWait, i.log)
	}
	ctx, stop := context.WithCancel(context.Background())
	i.stop = stop
	i.wg.Go(func() { i.keepAlive(ctx) })
	i.wg.Go(func() { i.undertaker.run(ctx) })
	return i, nil
}

// Run asks for messages until ctx ends, and returns nil at once then: messages nobody has seen are given back from now on.
// It returns an error when a consumer has gone. What was handed on is still to be settled: see Drain.
func (i *Inbox) Run(ctx context.Context) error {
	status := i.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer i.nc.RemoveStatusListener(status)
	for _, p := range i.pullers {
		defer p.stop()
		if err := p.open(); err != nil {
			return err
		}
	}
	polling, stopPolling := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { i.pollLag(polling) })
	defer func() { stopPolling(); wg.Wait() }()

	ticker := time.NewTicker(pullPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-status:
			if s == nats.CLOSED {
				return fmt.Errorf("take in messages: %w", nats.ErrConnectionClosed)
			}
			if s == nats.CONNECTED { // again: what was asked for on the other connection is void
				if err := i.reopen(); err != nil {
					return err
				}
			}
		case now := <-ticker.C:
			if err := i.check(ctx, now); err != nil {
				return err
			}
		}
	}
}

func (i *Inbox) reopen() error {
	i.disturb(2 * i.cfg.AckWait)
	for _, p := range i.pullers {
		if err := p.open(); err != nil {
			return err
		}
	}
	return nil
}

// check repairs what went wrong without the connection noticing.
func (i *Inbox) check(ctx context.Context, now time.Time) error {
	for _, p := range i.pullers {
		if doubt := p.doubts(); doubt != "" {
			gone, err := i.gone(ctx, p.stream)
			if gone {
				return fmt.Errorf("take in messages: consumer %s of stream %s is gone: %w", messages.Consumer, p.stream, err)
			}
			if err != nil {
				if ctx.Err() == nil {
					i.log.Warn("inbox does not answer", "stream", p.stream, "status", doubt, "error", err)
				}
				continue
			}
		} else if !p.silent(now) {
			p.ask()
			continue
		}
		if err := p.open(); err != nil {
			return err
		}
	}
	return nil
}

// gone reports whether the consumer does certainly not exist. Any other error says that nobody knows.
func (i *Inbox) gone(ctx context.Context, stream string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := i.js.Consumer(ctx, stream, messages.Consumer)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound), err
}

// Drain waits until the server has heard that no more is asked for and every delivery is settled, or ctx ends, and stops
// the inbox. Call it after Run has returned. It keeps giving signs of life meanwhile. Deliveries left over are an error,
// and stay unacknowledged: they are delivered again after the ack wait, as are those whose last answer did not reach the
// server.
func (i *Inbox) Drain(ctx context.Context) error {
	for _, p := range i.pullers {
		p.wait(ctx)
	}
	var left error
	select {
	case <-i.flight.whenEmpty():
	case <-ctx.Done():
		if n := i.flight.size(); n > 0 {
			left = fmt.Errorf("drain the inbox: %d deliveries are not settled and will be delivered again: %w", n, ctx.Err())
		}
	}
	i.stop()
	i.wg.Wait()
	i.undertaker.close()
	i.instruments.close()
	if i.acks != nil {
		i.acks.Close()
	}
	if left != nil {
		return left
	}
	if err := i.flush(ctx); err != nil {
		return fmt.Errorf("drain the inbox: it is not certain that the last acknowledgements arrived: %w", err)
	}
	return nil
}

// flush returns when the server has what was sent to it.
func (i *Inbox) flush(ctx context.Context) error {
	if !i.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return i.nc.FlushWithContext(ctx)
}

// receive takes one message in. It is called by the subscriptions.
func (i *Inbox) receive(p *puller, from *session, m *nats.Msg) {
	s, ok := readStamp(m.Reply)
	if !ok {
		i.log.Error("message with an unreadable reply subject left alone", "stream", p.stream, "subject", m.Subject, "reply", m.Reply)
		p.release()
		return
	}
	if s.deliveries > 1 {
		i.disturb(i.cfg.AckWait)
	}
	now := time.Now()
	r := &receipt{inbox: i, puller: p, session: from, reply: m.Reply, signed: now.Sub(i.start)}
	r.Delivery = delivery.Delivery{
		Stream: p.stream, Sequence: s.sequence, Deliveries: s.deliveries, Stored: s.stored, Received: now,
		Incarnation: newIncarnation(), Settler: r,
	}
	i.flight.add(r)
	failpoint.Pass(failpoint.Delivered)
	defer i.survive(r)
	if dead := read(&r.Delivery, m); dead.reason != "" {
		i.instruments.delivered(i.base, "")
		if r.first() {
			r.end(delivery.Dead(dead.reason), dead.class)
		}
		return
	}
	i.instruments.delivered(i.base, r.Type)
	if r.Type == messages.TypeWake {
		failpoint.Pass(failpoint.Woken)
	}
	i.deliver(&r.Delivery)
}

// survive turns a panic over a message into a dead letter.
func (i *Inbox) survive(r *receipt) {
	cause := recover()
	if cause == nil {
		return
	}
	i.log.Error("message made the node panic", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence,
		"error", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if r.first() {
		r.end(delivery.Dead(fmt.Sprintf("poison: %v", cause)), classPoison)
	}
}

func (i *Inbox) giveBack(m *nats.Msg) {
	if err := i.nc.Publish(m.Reply, nak); err != nil {
		i.log.Debug("message not given back", "subject", m.Subject, "error", err)
	}
}

// acknowledge ends a delivery whose effects are in the journal.
func (i *Inbox) acknowledge(r *receipt) {
	if i.acks == nil || r.Stream != messages.StreamOrders {
		i.end(r, ack)
		return
	}
	i.acks.Ack(r.Sequence, r.reply)
	i.release(r)
}

// later gives a delivery back, for another after d.
func (i *Inbox) later(r *receipt, d time.Duration) {
	i.disturb(d + i.cfg.AckWait)
	i.end(r, nakAfter(d))
}

// disturb says that messages may come again within d.
func (i *Inbox) disturb(d time.Duration) {
	if i.acks != nil {
		i.acks.disturb(d)
	}
}

// end answers for a delivery and then makes room for another, so that the server hears of them in this order.
func (i *Inbox) end(r *receipt, body []byte) {
	i.answer(r, body)
	i.release(r)
}

// release forgets a delivery and makes room for another.
func (i *Inbox) release(r *receipt) {
	i.flight.remove(r)
	r.puller.release()
}

// answer tells the server how the delivery ends. An answer that cannot be sent means another delivery.
func (i *Inbox) answer(r *receipt, body []byte) {
	if err := i.nc.Publish(r.reply, body); err != nil {
		i.log.Warn("delivery not settled", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence, "error", err)
	}
}

// keepAlive gives signs of life for deliveries that are older than a third of the ack wait.
func (i *Inbox) keepAlive(ctx context.Context) {
	third := i.cfg.AckWait / 3
	ticker := time.NewTicker(i.cfg.AckWait / 12)
	defer ticker.Stop()
	var due []*receipt
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Since(i.start)
		due = i.flight.due(now-third, now, due[:0])
		for _, r := range due {
			i.answer(r, inProgress)
		}
		if len(due) > 0 {
			i.instruments.ackProgress.Add(ctx, int64(len(due)))
		}
		clear(due)
	}
}
