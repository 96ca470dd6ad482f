// Package downstream guards the services that steps call: one circuit breaker, concurrency limit and rate limit for each,
// shared by all orders of the node. plan.Downstream says which targets are one service.
//
// A call that may not be made now, and one that finds out that its downstream is out, fails with a delivery.Deferral:
// the order parks, its budget is untouched, and the time given spreads the return.
//
// # Circuit
//
// A failure is no answer, no sense in it, not now. A business rejection or a pending answer is a success, for somebody was
// there to give it. Random failures are no outage, however busy the downstream and however long a row they make by chance.
// The circuit opens for one of two reasons.
//
//   - Silence: five failures, and none of the last twenty calls was answered for twice as long as answers usually take. Where
//     fewer calls come, three seconds without an answer do. On a node that never had one, it is enough that nobody listens
//     and no call is under way any more.
//   - Share: half of the calls failed that ended within ten seconds, of a hundred at least.
//
// Failures of one and the same order, without one of another order between them, count once: it may be the order that the
// service cannot bear, and then its budget, not its parking, should end it. Where nobody listens at all each counts as
// silence.
//
// While the circuit is open no call is made. After a delay, which grows with every try, a few calls are let through: three
// successes close it, three failures open it again. A failing one, and every failure that arrives while the circuit is not
// closed, is an outage to its order and no attempt. What was called before the circuit last changed has no say about it.
//
// # Return
//
// Once closed, calls are let in at a pace that begins far below what the downstream was seen to take, doubles each second
// up to twice that, and grows slowly beyond. Where it fell over again on the way, the next return doubles up to less than
// the pace of that moment, and creeps from there. Whoever cannot be let in within a second parks again, until the pace
// should have a place for it; half of the places are for those that come for the first time. What the downstream takes
// while it is not known is found by doubling on. The pace ends when a second passes without anybody having to wait and no
// parked order is due any more.
//
// # Limits
//
// What waits for a permit waits in memory, first come, first served, for at most Config.Hold; its delivery goes on giving
// signs of life. A place in the row of the rate limit beyond that parks the order at once. A call that is dropped while it
// waits is not made.
//
// # Ordering
//
// Calls to one downstream start in the order in which they came, unless they were put off.
//
// # Ownership
//
// A Guard owns its gates, their timers and what waits in them; the Steps below stay the caller's. State is the node's own
// and in memory: after a restart every circuit is closed, and a few calls find out.
//
// # Failure
//
// Errors wrap a *delivery.Failure: what the Steps answered, or Transient with a Deferral, or Transient wrapping
// gateway.ErrClosed after Close.
package downstream
