// Package supervision is the supervisor tree of a node's order actors. It spawns an actor for each order that has
// deliveries, settles the deliveries as the actor answers, and restarts actors that fail. It knows neither the rules of
// orders nor JetStream. tree.go specifies the supervisor of each actor and the directive for each failure.
//
// A delivery given to [Tree.Deliver] ends with exactly one call of its Settle. An order actor sends its parent one
// *delivery.Settled for each delivery; it fails by panicking, with a *delivery.Failure when infrastructure is the cause.
// A *delivery.GiveUp may precede its deliveries. It has no children, and only its supervisor stops it.
//
// # Ordering
//
// All deliveries of an order pass through one shard supervisor and reach the order's actor in the order of the Deliver
// calls. A restart stops the actor, drops its mailbox, and gives a new one all pending deliveries, oldest first: their
// order holds across restarts, and no message or late reply to the old actor reaches the new one. A failure is handled
// after the answers that the actor gave before it. At most one actor of an order exists at a time: the next one is spawned
// when the last one has terminated.
//
// # Ownership
//
// A shard owns its deliveries from Deliver to Settle. Only its actor uses them and, when all actors have stopped,
// Tree.Stop; Deliver appends to the shard's queue under a lock. Settle is called on the goroutine of the shard supervisor
// and must not block.
//
// # Failure
//
// No delivery waits for the acknowledgement time-out because an actor failed. A shard supervisor that panics (a defect of
// this package) settles everything it had taken from its queue as Later(0) when it is restarted. When a budget is exceeded,
// Config.OnEscalation is called once; the tree keeps running, so that the node can drain. After Stop every delivery is settled.
//
// # Protoactor
//
// Actors, mailboxes, names, the guardian, timers, the back-off of shard supervisors and the count of failures within a span
// are protoactor's. This package replaces the following parts of protoactor; the measured reason is stated in each file: the
// dispatcher (dispatcher.go), the strategy of shard supervisors (strategy.go), the queue of deliveries (shard.go), the guard
// of order actors (guard.go) and the metrics (instrumentation.go).
package supervision
