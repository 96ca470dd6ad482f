package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// Two steps as Go functions. The second refuses a customer, and the first is undone.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	cfg := engine.Config{
		Node: "example",
		Plan: &messages.Plan{Name: "gift", Version: 1, Steps: []*messages.Step{
			{Name: "reserve", Do: "func:reserve", Undo: "func:release"},
			{Name: "charge", Do: "func:charge"},
		}},
		Functions: engine.Functions{
			"reserve": func(_ context.Context, r *messages.StepRequest) (*messages.StepReply, error) {
				fmt.Println("reserve under", r.GetIdempotencyKey())
				return engine.Done(map[string]string{"shelf": "7"})
			},
			"release": func(_ context.Context, r *messages.StepRequest) (*messages.StepReply, error) {
				fmt.Println("release under", r.GetIdempotencyKey())
				return engine.Done(nil)
			},
			"charge": func(_ context.Context, r *messages.StepRequest) (*messages.StepReply, error) {
				var reserved struct{ Shelf string }
				if err := engine.Result(r, "reserve", &reserved); err != nil {
					return nil, err
				}
				fmt.Println("charge for a gift from shelf", reserved.Shelf)
				if r.GetOrder().GetCustomerId() == "c-broke" {
					return engine.Rejected("card_declined", "no money")
				}
				return engine.Done(nil)
			},
		},
	}
	err := with(cfg, func(orders *client.Client) error {
		for _, o := range []*messages.OrderCreated{gift("o-1", "c-7"), gift("o-2", "c-broke")} {
			id := messages.OrderID(o.GetOrderId())
			if err := orders.Publish(ctx, id, o); err != nil {
				return err
			}
			view, err := orders.Wait(ctx, id)
			if err != nil {
				return err
			}
			fmt.Println(view.OrderID, "is", view.Status)
		}
		return nil
	})
	if err != nil {
		log.Print(err)
	}

	// Output:
	// reserve under o-1/reserve/do
	// charge for a gift from shelf 7
	// o-1 is completed
	// reserve under o-2/reserve/do
	// charge for a gift from shelf 7
	// release under o-2/reserve/undo
	// o-2 is rejected
}

// A step whose answer comes later. The order costs no memory until the signal is there, for days if need be.
func Example_signal() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	asked := make(chan struct{})
	cfg := engine.Config{
		Node: "example",
		Plan: &messages.Plan{Name: "reviewed", Version: 1, Steps: []*messages.Step{
			{Name: "review", Do: "func:review"},
			{Name: "ship", Do: "func:ship"},
		}},
		Functions: engine.Functions{
			"review": func(context.Context, *messages.StepRequest) (*messages.StepReply, error) {
				fmt.Println("a person is asked")
				close(asked)
				return engine.Pending("reviewed", time.Now().Add(24*time.Hour))
			},
			"ship": func(_ context.Context, r *messages.StepRequest) (*messages.StepReply, error) {
				var review struct{ By string }
				if err := engine.Result(r, "review", &review); err != nil {
					return nil, err
				}
				fmt.Println("shipped, approved by", review.By)
				return engine.Done(nil)
			},
		},
	}
	err := with(cfg, func(orders *client.Client) error {
		if err := orders.Publish(ctx, "o-1", gift("o-1", "c-7")); err != nil {
			return err
		}
		<-asked
		data, err := structpb.NewValue(map[string]any{"by": "Ada"})
		if err != nil {
			return err
		}
		if err := orders.Publish(ctx, "o-1", &messages.SignalOrder{Name: "reviewed", Data: data}); err != nil {
			return err
		}
		view, err := orders.Wait(ctx, "o-1")
		if err == nil {
			fmt.Println(view.OrderID, "is", view.Status)
		}
		return err
	})
	if err != nil {
		log.Print(err)
	}

	// Output:
	// a person is asked
	// shipped, approved by Ada
	// o-1 is completed
}

// with runs an engine on a NATS server of its own while f does. A program with NATS servers elsewhere connects to them
// with nats.Connect.
func with(cfg engine.Config, f func(*client.Client) error) error {
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

	e, err := engine.New(context.Background(), nc, cfg)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running, nil) }()

	orders, err := client.New(nc)
	if err == nil {
		err = f(orders)
		orders.Close()
	}
	stop() // Run carries on with what is under way, and returns
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

func gift(id, customer string) *messages.OrderCreated {
	return &messages.OrderCreated{
		OrderId: id, CustomerId: customer,
		Items: []*messages.OrderItem{{ProductId: "gift", Quantity: 1, UnitPrice: 9.5}},
	}
}
