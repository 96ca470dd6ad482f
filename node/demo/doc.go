// Package demo is the world outside: inventory, payments and shipping as NATS micro services that answer the calls of
// the built-in plan, and sample orders to send through it.
//
//	inventory.reserve   inventory.release
//	payments.authorize  payments.void      payments.capture
//	shipping.create     shipping.cancel
//	demo.behave         changes how the services behave: payments.away=true, payments.away=false
//	demo.stats          what was called and done, as JSON; with an order id in the request, that order's calls
//
// The services speak StepRequest and StepReply in JSON and protobuf and do what a real service must: a call's effect
// happens once per idempotency key, whoever calls and however often, and later calls get the first one's answer. An undo
// whose do never came is accepted and closes the do's key for ever.
//
// How slow and unreliable they are is a Behavior that can change while they run. Some orders fare badly by what is in
// them, see CustomerDeclined and its neighbors.
//
// # Ordering
//
// Calls under one key take effect one after the other, in the order in which the ledger took them in.
//
// # Ownership
//
// Services owns its subscriptions, timers and ledger; the connection stays the caller's. Only one process per NATS may
// host them, for the ledger is not shared: Start refuses a second one with ErrRunning.
//
// # Failure
//
// With Config.Ledger each effect is a line of a file, appended before the answer leaves. The line is the effect: a
// process that is killed at any moment and started again on the same file still does everything at most once. A torn last
// line was never answered; it is cut off. A write that fails is answered as unavailable. Memory and file grow with the
// orders served, as a demonstration may.
package demo
