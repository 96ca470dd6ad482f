// Package demo has the downstream services of the demo (inventory, payments and shipping, NATS micro services for the steps of
// the built-in plan) and sample orders.
//
//	inventory.reserve   inventory.release
//	payments.authorize  payments.void      payments.capture
//	shipping.create     shipping.cancel
//	demo.behave         changes how the services behave: payments.away=true, payments.away=false
//	demo.stats          calls and effects, as JSON; with an order id in the request, the calls of that order
//
// The services take StepRequest and answer StepReply, in JSON or protobuf, and do what a real service must: the effect of a call
// happens once per idempotency key, and later calls get the reply of the first; another body under the key is answered 409. An undo,
// also one without an earlier do, refuses the do from then on. A new key with a smaller fencing token than one of an earlier call
// for the order is answered retry.
//
// Their latency and failures are a Behavior that can change while they run. Some orders are refused by their content, see
// CustomerDeclined and the constants beside it.
//
// # Ordering
//
// Calls with one key take effect one after the other, in the order in which the ledger records them.
//
// # Ownership
//
// Services owns its subscriptions, timers and ledger; the connection stays the caller's. Only one process per NATS may run them,
// because the ledger is not shared: Start in a second one fails with ErrRunning.
//
// # Failure
//
// With Config.Ledger each effect is a line of a file, appended before the reply is sent. The line is the effect: after a kill at
// any moment and a restart on the same file every effect still happens at most once. A partial last line was never answered and
// is removed. A failed write is answered as unavailable. Memory and file grow with the orders served.
package demo
