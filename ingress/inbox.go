package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Inbox receives messages about orders and wake-ups, and settles their deliveries.
type Inbox struct {
	js          jetstream.JetStream
	nc          *nats.Conn
	cfg         Config
	log         *slog.Logger
	deliver     func(*delivery.Delivery)
	lookup      *Lookup
	pullers     [2]*puller
	instruments *instruments
	start       time.Time
	inflight    inflightTable
	deadLetters *deadLetterWriter
	ledger      *ledgerWriter
	// acks acknowledges messages about orders if Config.GroupAck is set; else nil.
	acks *Acknowledger
	// redelivering is the result of the last poll: see Redelivering.
	redelivering atomic.Bool

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns an inbox that calls deliver with each delivery. The streams must exist. Deliver is called by several
// goroutines at once, must not block, and may settle the delivery; if it panics, the message becomes a dead letter. The
// caller must call Drain, even if Run was not called.
func New(js jetstream.JetStream, cfg Config, deliver func(*delivery.Delivery)) (*Inbox, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	i := &Inbox{js: js, nc: js.Conn(), cfg: cfg, log: cfg.Logger, deliver: deliver, lookup: NewLookup(js), start: time.Now()}
	if capacity := cfg.capacity(); capacity < cfg.MaxInFlight {
		i.log.Info("max in flight reduced: a longer ack wait allows more", "max_in_flight", capacity, "ack_wait", cfg.AckWait)
	}
	orders, wakes := cfg.split()
	i.pullers = [2]*puller{
		newPuller(i.lookup.api, messages.StreamOrders, orders, cfg.Memory.HalfFull, cfg.Health.Check("messages about orders", serveGrace), i.receive),
		newPuller(i.lookup.api, messages.StreamTimers, wakes, cfg.Memory.Full, cfg.Health.Check("wake-ups", serveGrace), i.receive),
	}
	var err error
	if i.instruments, err = newInstruments(cfg.Meter, i.inflight.size); err != nil {
		return nil, fmt.Errorf("create the inbox's instruments: %w", err)
	}
	if i.deadLetters, err = newDeadLetterWriter(i); err != nil {
		i.instruments.close()
		return nil, err
	}
	i.ledger = newLedgerWriter(i)
	if cfg.GroupAck {
		i.acks = NewAcknowledger(js, cfg.AckWait, i.log)
	}
	ctx, stop := context.WithCancel(context.Background())
	i.stop = stop
	i.wg.Go(func() { i.extendAcks(ctx) })
	i.wg.Go(func() { i.deadLetters.run(ctx) })
	i.wg.Go(func() { i.ledger.run(ctx) })
	return i, nil
}

// Run pulls messages until ctx ends, and then returns nil at once; messages received after that are nak'd. It returns an
// error if a consumer does not exist any more or the connection is closed. Deliveries that were passed to deliver must still
// be settled: see Drain.
func (i *Inbox) Run(ctx context.Context) error {
	status := i.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer i.nc.RemoveStatusListener(status)
	for _, p := range i.pullers {
		defer p.stop()
	}
	if err := i.openPullers(); err != nil {
		return err
	}
	polling, stopPolling := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { i.pollLag(polling) })
	wg.Go(func() { i.pollRedelivering(polling) })
	defer func() { stopPolling(); wg.Wait() }()

	ticker := time.NewTicker(pullPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-status:
			switch s {
			case nats.CLOSED:
				return fmt.Errorf("pull messages: %w", nats.ErrConnectionClosed)
			case nats.CONNECTED: // the requests of the lost connection are void
				i.suspendPurge(2 * i.cfg.AckWait)
				if err := i.openPullers(); err != nil {
					return err
				}
			}
		case now := <-ticker.C:
			for _, p := range i.pullers {
				if err := i.checkPuller(ctx, p, now); err != nil {
					return err
				}
			}
		}
	}
}

func (i *Inbox) openPullers() error {
	for _, p := range i.pullers {
		if err := p.open(); err != nil {
			return err
		}
	}
	return nil
}

// checkPuller opens a new session if the requests were lost while the connection seemed to be up. The error says that the
// consumer does not exist.
func (i *Inbox) checkPuller(ctx context.Context, p *puller, now time.Time) error {
	consumerGone, requestsLost := p.health(now)
	switch {
	case consumerGone != "":
		missing, err := i.consumerMissing(ctx, p.stream)
		if missing {
			return fmt.Errorf("pull messages: consumer %s of stream %s does not exist: %w", messages.Consumer, p.stream, err)
		}
		if err != nil {
			p.check.Fail(fmt.Errorf("the consumer is unreachable: %s: %w", consumerGone, err))
			if ctx.Err() == nil {
				i.log.Warn("inbox consumer unreachable", "stream", p.stream, "status", consumerGone, "error", err)
			}
			return nil
		}
		return p.open()
	case requestsLost:
		p.check.Fail(errNotServed)
		return p.open()
	default:
		p.requestMore()
		return nil
	}
}

// consumerMissing reports whether the consumer certainly does not exist. With any other error it may exist.
func (i *Inbox) consumerMissing(ctx context.Context, stream string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := i.js.Consumer(ctx, stream, messages.Consumer)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound), err
}

// Drain waits until the server has ended the pull requests and every delivery is settled, or ctx ends, and then stops the
// inbox. Call it after Run has returned. Held deliveries are extended until then. Unsettled deliveries are an error; they
// are redelivered after the ack wait, as are those whose last reply did not reach the server.
func (i *Inbox) Drain(ctx context.Context) error {
	for _, p := range i.pullers {
		p.wait(ctx)
	}
	var unsettled error
	select {
	case <-i.inflight.whenEmpty():
	case <-ctx.Done():
		if n := i.inflight.size(); n > 0 {
			unsettled = fmt.Errorf("drain the inbox: %d deliveries are not settled and will be redelivered: %w", n, ctx.Err())
		}
	}
	i.stop()
	i.wg.Wait()
	i.deadLetters.publisher.Close()
	i.instruments.close()
	if i.acks != nil {
		i.acks.Close()
	}
	if unsettled != nil {
		return unsettled
	}
	if err := i.flush(ctx); err != nil {
		return fmt.Errorf("drain the inbox: the last acknowledgements may not have reached the server: %w", err)
	}
	return nil
}

// flush returns when the server has received everything sent before.
func (i *Inbox) flush(ctx context.Context) error {
	if !i.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return i.nc.FlushWithContext(ctx)
}
