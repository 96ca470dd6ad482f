// Package audit checks in the streams that no order is lost (I2, I5): the journal, a dead letter or the ledger names every message
// that left the inbox;
// every accepted order has ended, is in flight, is parked or is in attention; the driver's message of every order in flight
// and the wake-up of every parked order are stored; every timer belongs to an order; and every history is legal. It works
// while the system runs.
//
// It folds histories with package replay, not with the engine's own fold, so that a defect of that fold is detected.
//
// # Ordering
//
// A message leaves the inbox only after what it caused is stored (I1). So the inbox is read first, the dead letters, the journal
// and the ledger after it: messages that had left the inbox are found in the later reads. The ledger is the last, because it
// has the messages of a history before that is deleted. For orders in flight the journal is read
// first, and the inbox after it. A driver that is missing by then may have done its work in between, so the order is read
// again: an order is stranded only if its history did not grow after its driver was seen to be missing. A timer is scheduled
// after the park is journaled: a timer of a park that is not in the journal read before is checked against the journal as it
// is by then.
//
// # Ownership
//
// Read writes nothing and leaves neither goroutines nor consumers behind. While it reads, an ended order costs about a hundred
// bytes of memory, another one its folded state.
//
// # Failure
//
// An error means that the streams could not be read. A defect in what they store is a Violation of the Report.
package audit
