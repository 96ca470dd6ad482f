package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// startDemo starts the demo services and publishes sample orders, with --demo.
func (n *node) startDemo(ctx context.Context) error {
	if !n.Demo {
		return nil
	}
	cfg := demo.Config{
		Behaviors: demo.All(demo.Behavior{Latency: n.cfg.DemoLatency, Fail: n.cfg.DemoFailRate, Reject: n.cfg.DemoRejectRate}),
		Tracer:    n.telemetry.Tracer(), Logger: n.log,
	}
	if n.server != nil {
		cfg.Ledger = filepath.Join(n.cfg.DataDir, "demo-effects.jsonl")
	}
	services, err := demo.Start(n.nc, cfg)
	if errors.Is(err, demo.ErrRunning) {
		return fmt.Errorf("%w; run this node without --demo", err)
	}
	if err != nil {
		return err
	}
	n.onStop(func() {
		if err := services.Stop(); err != nil {
			n.log.Warn("demo services did not stop cleanly", "error", err)
		}
	})
	if n.cfg.DemoOrders == 0 {
		return nil
	}
	return n.publishSamples(ctx)
}

// publishSamples publishes the sample orders, and announces when all have ended while the node runs.
func (n *node) publishSamples(ctx context.Context) error {
	watch, err := client.StartWatch(ctx, n.js)
	if err != nil {
		return err
	}
	began := time.Now()
	samples := demo.Samples(n.cfg.DemoOrders, uint64(began.UnixNano()))
	if err := n.publishAll(ctx, samples, watch); err != nil {
		watch.Stop()
		return err
	}
	watching, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer watch.Stop()
		if watch.Wait(watching) == nil {
			n.announceSamples(watch, time.Since(began), samples[0].GetOrderId())
		}
	}()
	n.onStop(func() { stop(); <-done })
	return nil
}

// publishAll returns once every order is stored or logged as not stored.
func (n *node) publishAll(ctx context.Context, orders []*messages.OrderCreated, watch *client.Watch) error {
	publisher, err := ingress.NewPublisher(n.nc, ingress.PublisherConfig{Batch: true})
	if err != nil {
		return err
	}
	defer publisher.Close()
	for _, o := range orders {
		id := messages.OrderID(o.GetOrderId())
		watch.Add(id)
		if err := publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: o}, func(_ ingress.PubAck, err error) {
			if err != nil {
				n.log.Warn("sample order not stored", "error", err)
				watch.Forget(id)
			}
		}); err != nil {
			return err
		}
	}
	return publisher.Flush(ctx)
}

// announceSamples prints how the sample orders ended, and commands to try.
func (n *node) announceSamples(watch *client.Watch, took time.Duration, id string) {
	ended, _ := watch.Tally()
	total := 0
	var counts []string
	for _, status := range []string{"completed", "rejected", "cancelled"} {
		if c := ended[status]; c > 0 {
			total += c
			counts = append(counts, fmt.Sprintf("%d %s", c, status))
		}
	}
	fmt.Fprintf(n.Stdout, `
%s ended in %.1f s: %s

in a second terminal, try
  bin/orderly get %s
  bin/orderly publish -n 1000 --wait
  bin/orderly verify
Ctrl-C stops the node; unfinished orders continue at the next start
`, sampleOrders(total), took.Seconds(), strings.Join(counts, ", "), id)
}

func sampleOrders(n int) string {
	if n == 1 {
		return "1 sample order"
	}
	return fmt.Sprintf("%d sample orders", n)
}

// announce prints the node's addresses, store and plan.
func (n *node) announce() {
	steps := make([]string, len(n.plan.GetSteps()))
	for i, s := range n.plan.GetSteps() {
		steps[i] = s.GetName()
	}
	servers := "connected to " + n.nc.ConnectedUrlRedacted()
	if n.server != nil {
		servers = fmt.Sprintf("%s (embedded, %s, store in %s)", n.server.URL(), n.cfg.Durability, n.cfg.DataDir)
	}
	fmt.Fprintf(n.Stdout, "orderly %s, node %s\n  NATS  %s\n  HTTP  %s\n  plan  %s v%d: %s\n", n.Version, n.cfg.NodeID,
		servers, n.httpURL, n.plan.GetName(), n.plan.GetVersion(), strings.Join(steps, ", "))
	if !n.Demo {
		return
	}
	fmt.Fprint(n.Stdout, "  demo  inventory, payments, shipping")
	if n.cfg.DemoOrders > 0 {
		fmt.Fprintf(n.Stdout, "; %s published", sampleOrders(n.cfg.DemoOrders))
	}
	fmt.Fprintln(n.Stdout)
}
