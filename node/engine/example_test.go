package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/embedded"
	"github.com/orderly-engine/orderly/node/timeline"
)

type Reservation struct{ Shelf int }

func reserve(_ context.Context, c *engine.Call) (any, error) {
	fmt.Println("reserve under", c.Key)
	return Reservation{Shelf: 7}, nil
}

func release(_ context.Context, c *engine.Call) (any, error) {
	fmt.Println("release under", c.Key)
	return nil, nil
}

// ChargeInput is the input of charge: the order, and the result of the step reserve.
type ChargeInput struct {
	Order   engine.Order
	Reserve Reservation
}

func charge(_ context.Context, _ *engine.Call, in ChargeInput) (struct{}, error) {
	fmt.Println("charge for a gift from shelf", in.Reserve.Shelf)
	if in.Order.CustomerID == "c-broke" {
		return struct{}{}, engine.Reject("card_declined", "no money")
	}
	return struct{}{}, nil
}

// Two steps as Go functions. The second refuses a customer, and the first is undone.
func Example() {
	p := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "reserve", Do: engine.Function(reserve), Undo: engine.Function(release)},
		{Name: "charge", Do: engine.Typed(charge)},
	}}
	run(p, func(ctx context.Context, orders *client.Client) error {
		for _, o := range []engine.Order{gift("o-1", "c-7"), gift("o-2", "c-broke")} {
			if err := orders.Create(ctx, o); err != nil {
				return err
			}
			view, err := orders.Wait(ctx, o.ID)
			if err != nil {
				return err
			}
			fmt.Println(view.OrderID, "is", view.Status)
		}
		return nil
	})

	// Output:
	// reserve under o-1/reserve/do
	// charge for a gift from shelf 7
	// o-1 is completed
	// reserve under o-2/reserve/do
	// charge for a gift from shelf 7
	// release under o-2/reserve/undo
	// o-2 is rejected
}

// A step that a signal completes. The order takes no memory while it waits, which can be days.
func ExamplePending() {
	type review struct{ By string }
	asked := make(chan struct{})
	p := engine.Plan{Name: "reviewed", Version: 1, Steps: []engine.Step{
		{Name: "review", Do: engine.Function(func(context.Context, *engine.Call) (any, error) {
			fmt.Println("a person is asked")
			close(asked)
			return nil, engine.Pending("reviewed", time.Now().Add(24*time.Hour))
		})},
		{Name: "ship", Do: engine.Typed(func(_ context.Context, _ *engine.Call, in struct{ Review review }) (struct{}, error) {
			fmt.Println("shipped, approved by", in.Review.By)
			return struct{}{}, nil
		})},
	}}
	run(p, func(ctx context.Context, orders *client.Client) error {
		if err := orders.Create(ctx, gift("o-1", "c-7")); err != nil {
			return err
		}
		<-asked
		if err := orders.Signal(ctx, "o-1", "reviewed", review{By: "Ada"}); err != nil {
			return err
		}
		view, err := orders.Wait(ctx, "o-1")
		if err == nil {
			fmt.Println(view.OrderID, "is", view.Status)
		}
		return err
	})

	// Output:
	// a person is asked
	// shipped, approved by Ada
	// o-1 is completed
}

// A step that is attempted again, and one that needs a person.
func ExamplePermanent() {
	var paper atomic.Bool
	p := engine.Plan{Name: "printed", Version: 1, Steps: []engine.Step{
		{Name: "render", Do: engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
			if c.Attempt == 1 {
				return nil, engine.RetryAfter(10*time.Millisecond, errors.New("renderer is busy"))
			}
			return nil, nil
		})},
		{Name: "print", Do: engine.Function(func(context.Context, *engine.Call) (any, error) {
			if !paper.Load() {
				return nil, engine.Permanent(errors.New("no paper"))
			}
			return nil, nil
		})},
	}}
	run(p, func(ctx context.Context, orders *client.Client) error {
		if err := orders.Create(ctx, gift("o-1", "c-7")); err != nil {
			return err
		}
		view := &timeline.View{}
		for view.Status != "attention" {
			var err error
			if view, err = orders.Order(ctx, "o-1"); err != nil {
				return err
			}
		}
		fmt.Println("attention:", view.Reason)
		paper.Store(true)
		if err := orders.Retry(ctx, "o-1"); err != nil {
			return err
		}
		view, err := orders.Wait(ctx, "o-1")
		if err == nil {
			fmt.Println(view.OrderID, "is", view.Status)
		}
		return err
	})

	// Output:
	// attention: func:print: no paper
	// o-1 is completed
}

// A plan file whose targets are services, with one of them replaced by a function of this program.
func ExampleParsePlan() {
	p, err := engine.ParsePlan([]byte(`
name: gift
version: 2
steps:
  - {name: reserve, do: nats://stock.reserve, undo: nats://stock.release, timeout: 5s}
  - {name: charge, do: https://payments.example/charge, retry: {attempts: 20}}
`))
	if err != nil {
		log.Print(err)
		return
	}
	p.Step("charge").Do = engine.Typed(charge)
	fmt.Println(p.Name, p.Version, p.Step("reserve").Do, p.Step("charge").Retry.Attempts)
	// Output: gift 2 nats://stock.reserve 20
}

// run runs an engine with a NATS server of its own while f does. A program whose NATS servers are elsewhere connects to
// them with nats.Connect.
func run(p engine.Plan, f func(context.Context, *client.Client) error) {
	if err := tryRun(p, f); err != nil {
		log.Print(err)
	}
}

func tryRun(p engine.Plan, f func(context.Context, *client.Client) error) error {
	dir, err := os.MkdirTemp("", "orderly-example-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	nc, err := server.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := engine.New(ctx, nc, p, engine.Config{})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running) }()

	orders, err := client.New(nc)
	if err == nil {
		err = f(ctx, orders)
		orders.Close()
	}
	stop() // Run finishes the orders in memory, and returns
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

func gift(id, customer string) engine.Order {
	return engine.Order{ID: id, CustomerID: customer, Items: []engine.Item{{ProductID: "gift", Quantity: 1, UnitPrice: 9.5}}}
}
