// Package audit proves from the streams that no order was lost (I5, I2): every order accepted has ended, is in flight,
// is parked or rests in attention; every message that left the inbox is accounted for; whoever carries an unfinished
// order is still stored; every parked order has something stored that wakes it in time, and every timer an order; and
// every history is legal. It works while the system runs.
//
// # Ordering
//
// A message leaves the inbox only after what it caused is stored (I1). So the inbox is read first, the dead letters and
// the journal after it: whatever had left the inbox is in what is read later. For orders in flight it is the other way
// round: the journal is read first, and the inbox after it. A driver that is missing by then may have done its work in
// between, so the order is read again: only an order whose history did not go on after its driver was seen to be
// missing has been forgotten. A timer is scheduled after the park is journaled: a timer of which the journal that was
// read does not know is held to what the journal knows by then.
//
// # Ownership
//
// Read writes nothing and leaves nothing running, nor a consumer on a stream. An ended order costs about a hundred bytes
// while it reads, an unfinished one its folded state.
//
// # Failure
//
// An error means that the streams could not be read. What is wrong in them is an Offense of the Report.
package audit
