package servicecheck

import (
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

const (
	// DefaultTimeout is that of a call.
	DefaultTimeout = 2 * time.Second
	// DefaultStep is the name of the step in the calls.
	DefaultStep = "check"

	defaultDelay = 200 * time.Millisecond
)

// Config says which service is checked and how.
type Config struct {
	// Do and Undo are targets as in a plan. Undo may be empty.
	Do, Undo string
	// Step is the name of the step in the calls.
	Step     string
	Encoding messages.Encoding
	// Timeout of a call.
	Timeout time.Duration
	// Delay before the second attempt of a call that fails temporarily; it doubles. Default 200 ms.
	Delay time.Duration
	// Order is what the test orders contain; each gets an id of its own. nil: SampleOrder.
	Order *messages.OrderCreated
	// Each gets every check when it is made.
	Each func(Check)
}

// SampleOrder is an order of one line.
func SampleOrder() *messages.OrderCreated {
	return &messages.OrderCreated{
		CustomerId: "c-check", Currency: "USD", TotalAmount: 10,
		Items: []*messages.OrderItem{{ProductId: "sku-check", Quantity: 1, UnitPrice: 10}},
	}
}

// NewOrderID returns a fresh id of a test order.
func NewOrderID() messages.OrderID {
	return messages.OrderID("check-" + rand.Text()[:10])
}

// NewCall returns the first attempt of a step for an order, as the engine makes it. results are the data of the steps before
// it, by name, and of an undo those of its own step.
func NewCall(step *messages.Step, d messages.Direction, order *messages.OrderCreated, results map[string]string) *gateway.Call {
	id := messages.OrderID(order.GetOrderId())
	return &gateway.Call{
		Step: step, Direction: d, Attempt: 1, FencingToken: firstToken,
		Request: &messages.StepRequest{
			OrderId: string(id), Step: step.GetName(), Direction: d.Label(),
			IdempotencyKey: messages.IdempotencyKey(id, step.GetName(), d), Order: order, Results: results,
		},
	}
}

// step is the step under test.
func (c *Config) step(name string) *messages.Step {
	return &messages.Step{Name: name, Do: c.Do, Undo: c.Undo, Timeout: durationpb.New(c.Timeout), Encoding: c.Encoding}
}

func (c *Config) withDefaults() {
	if c.Step == "" {
		c.Step = DefaultStep
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Delay <= 0 {
		c.Delay = defaultDelay
	}
	if c.Order == nil {
		c.Order = SampleOrder()
	}
	if c.Each == nil {
		c.Each = func(Check) {}
	}
}

// testOrder is an order of the check, whose id ends with suffix.
func (c *Config) testOrder(prefix, suffix string) *messages.OrderCreated {
	o := proto.CloneOf(c.Order)
	o.OrderId = fmt.Sprintf("%s-%s", prefix, suffix)
	return o
}
