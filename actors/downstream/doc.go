// Package downstream protects the services that steps call, and the orders from their outages. Each downstream (named by
// the directory) has one circuit breaker, concurrency limit and rate limit, shared by all orders of the node. The breaker's
// state machine, the bulkhead and the rate limiters are those of failsafe-go.
//
// A call that cannot be made now, and one that fails while the circuit is not closed, fails with a delivery.Deferral: its
// order parks until the given time and spends no attempt.
//
// # Circuit
//
// Failures: timeout, 5xx, 429, unreachable, a fault of the set-up. Any other reply is a success, also a rejection, one that
// cannot be read, and one that means that nothing is left to undo. The circuit opens for one of two reasons:
//
//   - No reply: five failures without a reply in between, and either 20 calls without a reply over twice the usual reply
//     time, or three seconds without a reply. A node that never had a reply opens it after five failures if nothing listens
//     (no responders, connection refused) and no call is in flight. Random failures do not open it, whatever the load.
//   - Failure rate: half of the calls of the last ten seconds failed, of 100 at least.
//
// Consecutive failures of one order count once: if the service fails because of that order, its own attempts end it. When it
// is unreachable or its set-up is at fault, the no-reply rule counts each.
//
// While the circuit is open no call is made. After 0.5 to 1 s, and up to 10 s in a long outage, three trial calls are let
// through at a time: three successes close the circuit, three failures open it again.
//
// # Faults of the set-up
//
// Wrong credentials, a wrong path and a missing permission (failures of the kind Setup) concern all orders alike. A call that
// meets one fails with a Deferral of about a second, also while the circuit is closed, so that it spends no attempt. An order
// that meets one again after the service has replied to others is the cause itself: that failure passes, and its attempts count.
// The faults of the latest 1024 to 2048 orders since the circuit last opened are remembered.
//
// # Parking
//
// Jitter spreads the return of parked orders over as long as the outage has lasted, 1 to 45 s; after 7.5 minutes over a tenth
// of that, up to half an hour. After a relapse the outage counts as ten seconds old. About 1000 orders per second return.
//
// # Slow start
//
// When the circuit closes, calls start at an eighth of the throughput seen before the outage (at least 10 per second). After
// each second in which a call had to wait and half of the permits were taken, the rate doubles, up to twice that throughput;
// from there it grows by one call per second (a fifth of a percent of a high throughput) per second, faster as time goes by.
// When the circuit opens again meanwhile, the next slow start doubles up to half the rate that failed only. Once it is half
// above that rate without a failure, the rate was not the cause, and it doubles up to twice the throughput again. When more
// calls fail than usual, the rate falls to nine tenths of what succeeded. A call that would wait for more than a second parks
// until its permit is expected, for 20 s at most. Slow start ends when no call waits and no parked order is due.
//
// TestRecovery measures it: the time from the last end of an outage of a minute until the orders that parked in it are done,
// and the failures that spent an attempt.
//
//	                                            4,000 parked unless said otherwise
//	room for all (600/s, load 200/s)              50 s
//	12,000 parked, the same                       61 s
//	little room (300/s, crashes above)            46 s,  81 failures
//	degraded (60/s, was 200/s)                   144 s, 152
//	degraded, crashes above                      163 s, 121
//	degraded, refuses what is above               75 s, 370
//	known 20/s, takes 5,000/s, 20,000 parked      91 s
//	4 relapses after 4 s                          45 s
//	8 relapses after 2.5 s, 8,000 parked          44 s
//	100,000 parked, takes 5,000/s                149 s
//	100,000 parked, 12 relapses after 6 s        127 s
//	100,000 parked, 4 relapses, unknown service  177 s
//
// # Limits
//
// A call waits for a permit in memory, first in, first out, for at most Config.Hold; a call whose place in the rate limit is
// later parks at once. A call that was dropped while it waited is not made.
//
// # Ordering
//
// Calls to one downstream start in the order of the calls of Do, except those that parked.
//
// # Ownership
//
// A Guard owns its limiters, their timers and the waiting calls; the Steps stay the caller's. State is in memory and of this
// node: after a restart every circuit is closed.
//
// # Failure
//
// Errors wrap a *delivery.Failure: that of the Steps, or Transient with a Deferral, or Transient wrapping gateway.ErrClosed
// after Close. A Deferral of a call that was made keeps its InDoubt.
package downstream
