package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const queue = "orders"

func order(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for range steps {
		if err := workflow.ExecuteActivity(ctx, step).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func step(context.Context) error { return nil }

// temporal runs a worker and starts workflows, on a server at 127.0.0.1:7233.
func temporal(ctx context.Context) (engineFunc, func(), error) {
	c, err := client.Dial(client.Options{HostPort: "127.0.0.1:7233", Logger: quiet{}})
	if err != nil {
		return nil, nil, err
	}
	w := worker.New(c, queue, worker.Options{MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16})
	w.RegisterWorkflow(order)
	w.RegisterActivity(step)
	if err := w.Start(); err != nil {
		return nil, nil, err
	}
	runOrder := func(ctx context.Context, id string) error {
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queue}, order)
		if err != nil {
			return err
		}
		return run.Get(ctx, nil)
	}
	return runOrder, func() { w.Stop(); c.Close() }, nil
}

type quiet struct{}

var _ log.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
