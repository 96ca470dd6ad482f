// Package engine runs orders to completion on NATS JetStream, as a library.
//
//	reserve := func(ctx context.Context, c *engine.Call) (any, error) { return stock.Reserve(ctx, c.Key, c.Order) }
//	release := func(ctx context.Context, c *engine.Call) (any, error) { return nil, stock.Release(ctx, c.Order.ID) }
//	plan := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
//		{Name: "reserve", Do: engine.Function(reserve), Undo: engine.Function(release)},
//		{Name: "charge", Do: engine.URL("https://payments.example/charge"), Timeout: 5 * time.Second},
//	}}
//	e, err := engine.New(ctx, nc, plan, engine.Config{})
//	if err != nil {
//		return err
//	}
//	return e.Run(ctx)
//
// A Plan is a list of Steps. A step calls a service by its URL or a Go function: a Function, or one whose input and result
// are Go types, made a target by Typed. The result of a function decides how the order continues:
//
//   - a result and no error: the step is done, and later steps can read the result;
//   - Reject: a business refusal; the steps done are undone in reverse, and the order ends as rejected;
//   - Pending: the order waits, for days if need be, until a signal completes the step;
//   - RetryAfter, or any other error: the step is attempted again until its attempts are spent, then attention;
//   - Permanent: attention at once.
//
// An order in attention waits for an operator, who retries, skips or cancels.
//
// URL("payments/charge") names one of Config.Downstreams, which LoadDownstreams reads from a file: where the service is, and its
// credentials. It can move while orders are in flight.
//
// Package client publishes orders and follows them. Package enginetest runs a plan in a test, without NATS, and with a crash
// at every point.
//
// Any number of programs and nodes share the work on one NATS. An order that comes to a program that lacks the function it
// needs parks for 15 to 30 seconds, with no attempt spent, and continues on the node where it wakes; a message about it
// wakes it at once. A step's functions are called func:<step> and func:<step>.undo in the plan that is pinned to an order:
// while there are orders of an earlier plan, keep functions of those names in the plan or in Config.Functions.
//
// # Ordering
//
// Parts stop in the reverse order of the flow: the inbox stops pulling; orders in memory continue until the drain time-out;
// the supervisor tree stops its actors and releases their deliveries; the inbox sends the last acknowledgements; gateways
// and journal close. One deadline, set when the stop begins, bounds all of it.
//
// # Ownership
//
// An Engine owns its parts and all their goroutines from New until Run or Close returns. The connection is the caller's.
//
// # Failure
//
// Run returns an error that wraps ErrEscalated, after a drain, when failures exceed every budget. Deliveries that are not
// settled when Run returns are redelivered, to this node or another.
package engine
