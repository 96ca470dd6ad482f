// Package supervision is the supervisor tree for order actors: it knows how actors fail, restart, back off, escalate
// and stop, and it keeps the deliveries that are not yet settled. It knows nothing of order rules or of JetStream.
//
//	root ── order supervisor (one per shard) ── order actor (one per order that holds a delivery)
//
// A delivery given to [Tree.Deliver] ends with exactly one call of its Settle. An order actor answers its parent with
// a *delivery.Settled for each delivery it was sent; it fails by panicking, with a *delivery.Failure where it knows the
// kind. It may be sent a *delivery.GiveUp ahead of its deliveries. It has no children of its own, and it stops when its
// supervisor stops it.
//
// # Ordering
//
// All deliveries of one order pass through the same order supervisor and reach the order's actor in the order of the
// Deliver calls. A restart discards the actor with everything in its mailbox and gives the new one all deliveries that
// are still pending, oldest first, so their order holds across restarts and no message or late reply to the old actor
// can reach the new one. A failure takes its turn behind the answers the actor gave before it failed. At most one actor
// of an order exists at a time: the next one is spawned when the one before has terminated.
//
// # Ownership
//
// A shard owns its pending deliveries, from Deliver to Settle. Exactly one goroutine at a time works on them: that of the
// shard's order supervisor and, when all actors have stopped, that of Stop. Only the intake, which Deliver appends to, is
// shared, under a lock that is held for an append or a swap. Settle is called on the supervisor's goroutine.
//
// # Failure
//
// A failed order actor is restarted, given up, or let go, as the kind of its failure says (decide.go); nothing waits for
// an acknowledgement time-out. A crash of an order supervisor (a defect of this package) settles everything it had
// taken in as Later(0) and starts it anew after a delay. What exceeds the subsystem's budget is escalated, once, through
// Config.OnEscalation; the tree works on meanwhile, so that the node can drain. After Stop every delivery is settled.
package supervision
