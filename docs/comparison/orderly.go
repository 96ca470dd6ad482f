package main

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// orderly runs the engine in this process, with its embedded server and strict durability, in the directory ./orderly-data.
func orderly(ctx context.Context) (engineFunc, func(), error) {
	const dir = "orderly-data"
	if err := os.RemoveAll(dir); err != nil {
		return nil, nil, err
	}
	server, err := embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0"})
	if err != nil {
		return nil, nil, err
	}
	nc, err := server.Connect()
	if err != nil {
		server.Shutdown()
		return nil, nil, err
	}
	plan := engine.Plan{Name: "comparison", Version: 1}
	nothing := engine.Function(func(context.Context, *engine.Call) (any, error) { return nil, nil })
	for _, name := range []string{"one", "two", "three", "four"} {
		plan.Steps = append(plan.Steps, engine.Step{Name: name, Do: nothing})
	}
	e, err := engine.New(ctx, nc, plan, engine.Config{GroupCommit: true})
	if err != nil {
		nc.Close()
		server.Shutdown()
		return nil, nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = e.Run(running) }()
	orders, err := client.New(nc)
	end := func() { stop(); <-ended; nc.Close(); server.Shutdown() }
	if err != nil {
		end()
		return nil, nil, err
	}
	// One subscription to the journal reports the end of all orders.
	var waiting sync.Map // order id → chan struct{}
	feed, err := nc.Subscribe("ORDER_EVENT.*", func(m *nats.Msg) {
		if !strings.HasSuffix(m.Header.Get("Orderly-Event"), ",completed") {
			return
		}
		if ended, ok := waiting.LoadAndDelete(strings.TrimPrefix(m.Subject, "ORDER_EVENT.")); ok {
			close(ended.(chan struct{}))
		}
	})
	if err != nil {
		end()
		return nil, nil, err
	}
	runOrder := func(ctx context.Context, id string) error {
		ended := make(chan struct{})
		waiting.Store(id, ended)
		order := engine.Order{ID: id, CustomerID: "c", Items: []engine.Item{{ProductID: "p", Quantity: 1, UnitPrice: 1}}}
		if err := orders.Create(ctx, order); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return runOrder, func() { _ = feed.Unsubscribe(); orders.Close(); end() }, nil
}
