package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

// Latency is the time from the publish of an order until a consumer of the journal gets its end.
type Latency struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
}

// measureLatency publishes orders at the configured rate and waits until they have ended.
func measureLatency(ctx context.Context, cfg Config, mode Mode, start func(*benchServer) (workload, error)) (l Latency, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	g, err := startServer(ctx, cfg.Dir, mode, ackWait)
	if err != nil {
		return l, err
	}
	defer g.close()
	c, err := start(g)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()

	ends := make(chan end, cfg.Samples)
	follow, err := g.follow(ctx, ends)
	if err != nil {
		return l, err
	}
	defer follow.Stop()
	begins, err := g.publishAtRate(ctx, cfg)
	if err != nil {
		return l, err
	}
	took := make([]time.Duration, 0, cfg.Samples)
	for len(took) < cfg.Samples {
		select {
		case e := <-ends:
			took = append(took, e.at.Sub(begins[e.id]))
		case <-ctx.Done():
			return l, fmt.Errorf("%d of %d orders ended: %w", len(took), cfg.Samples, ctx.Err())
		}
	}
	if f, ok := c.(checked); ok {
		if err := f.check(cfg.Samples); err != nil {
			return l, err
		}
	}
	slices.Sort(took)
	return Latency{P50: quantile(took, 0.50), P95: quantile(took, 0.95), P99: quantile(took, 0.99)}, nil
}

// end of an order, as seen in the journal.
type end struct {
	id string
	at time.Time
}

func (g *benchServer) follow(ctx context.Context, ends chan<- end) (jetstream.ConsumeContext, error) {
	consumer, err := g.js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	return consumer.Consume(func(m jetstream.Msg) {
		if strings.HasSuffix(m.Headers().Get(messages.HeaderEvent), "completed") && strings.Contains(m.Headers().Get(messages.HeaderEvent), ",") {
			ends <- end{id: strings.TrimPrefix(m.Subject(), messages.SubjectEvent), at: time.Now()}
		}
	})
}

// publishAtRate publishes the samples and returns the time of each.
func (g *benchServer) publishAtRate(ctx context.Context, cfg Config) (map[string]time.Time, error) {
	p, err := ingress.NewPublisher(g.client, ingress.PublisherConfig{Batch: g.mode == Strict})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	begins := make(map[string]time.Time, cfg.Samples)
	tick := time.NewTicker(time.Second / time.Duration(cfg.Rate))
	defer tick.Stop()
	for _, o := range demo.Samples(cfg.Samples, 2) {
		<-tick.C
		begins[o.GetOrderId()] = time.Now()
		if err := p.Publish(ctx, ingress.Outgoing{OrderID: messages.OrderID(o.GetOrderId()), Body: o}, nil); err != nil {
			return nil, err
		}
	}
	return begins, p.Flush(ctx)
}
