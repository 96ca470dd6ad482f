package main

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
	"github.com/orderly-engine/orderly/node/follow"
)

// demonstrate starts the demo services and a first load of sample orders.
func (n *node) demonstrate(ctx context.Context) error {
	if !n.demo {
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
	n.atEnd(func() {
		if err := services.Stop(); err != nil {
			n.log.Warn("demo services", "error", err)
		}
	})
	if n.cfg.DemoOrders == 0 {
		return nil
	}
	return n.load(ctx)
}

// load publishes the sample orders and, while the node runs, tells when all have ended.
func (n *node) load(ctx context.Context) error {
	watch, err := follow.Start(ctx, n.js)
	if err != nil {
		return err
	}
	publisher, err := ingress.NewPublisher(n.nc, ingress.PublisherConfig{Batch: true})
	if err != nil {
		watch.Stop()
		return err
	}
	defer publisher.Close()
	began := time.Now()
	samples := demo.Samples(n.cfg.DemoOrders, uint64(began.UnixNano()))
	for _, o := range samples {
		id := messages.OrderID(o.GetOrderId())
		watch.Add(id)
		if err := publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: o}, func(_ ingress.PubAck, err error) {
			if err != nil {
				n.log.Warn("sample order not stored", "error", err)
				watch.Forget(id)
			}
		}); err != nil {
			watch.Stop()
			return err
		}
	}
	if err := publisher.Flush(ctx); err != nil {
		watch.Stop()
		return err
	}
	watching, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer watch.Stop()
		if watch.Wait(watching) == nil {
			n.announceLoad(watch, time.Since(began), samples[0].GetOrderId())
		}
	}()
	n.atEnd(func() { stop(); <-done })
	return nil
}

// announceLoad says what became of the sample orders, and what to try next.
func (n *node) announceLoad(watch *follow.Watch, took time.Duration, id string) {
	ended, _ := watch.Tally()
	var parts []string
	for _, status := range []string{"completed", "rejected", "cancelled"} {
		if c := ended[status]; c > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c, status))
		}
	}
	fmt.Fprintf(n.t.out, `
%s carried to the end in %.1f s: %s

in a second terminal, try
  bin/orderly get %s
  bin/orderly publish -n 1000 --wait
  bin/orderly verify
Ctrl-C stops the node; what it leaves unfinished, the next start carries on
`, count(int64(total(ended)), "sample order"), took.Seconds(), strings.Join(parts, ", "), id)
}

// announce says where everything is.
func (n *node) announce() {
	steps := make([]string, len(n.plan.GetSteps()))
	for i, s := range n.plan.GetSteps() {
		steps[i] = s.GetName()
	}
	servers := "connected to " + n.nc.ConnectedUrlRedacted()
	if n.server != nil {
		servers = fmt.Sprintf("%s (embedded, %s, store in %s)", n.server.URL(), n.cfg.Durability, n.cfg.DataDir)
	}
	fmt.Fprintf(n.t.out, "orderly %s, node %s\n  NATS  %s\n  HTTP  %s\n  plan  %s v%d: %s\n", version, n.cfg.NodeID,
		servers, n.httpURL, n.plan.GetName(), n.plan.GetVersion(), strings.Join(steps, ", "))
	if !n.demo {
		return
	}
	fmt.Fprint(n.t.out, "  demo  inventory, payments, shipping")
	if n.cfg.DemoOrders > 0 {
		fmt.Fprintf(n.t.out, "; %s on the way", count(int64(n.cfg.DemoOrders), "sample order"))
	}
	fmt.Fprintln(n.t.out)
}
