// Package order is the pure core of the engine: the state of an order (State), how journaled events change it (Apply), how a
// delivery is answered (Receive), what its driver does next (Next), and what is appended for the result of a step call
// (HandleReply). It has no clock, no randomness and no I/O: time and jitter are arguments. R-numbers refer to
// docs/protocol.md.
//
// Deliveries are answered by one table (table.go): facts about the message and its order; the first row whose facts are
// true decides. testdata/table.golden shows its answer to every possible delivery.
//
// # Ordering
//
// State changes only by Apply, in the order of the journal. Replaying an order's entries gives its state on any node.
//
// # Ownership
//
// A State is not safe for concurrent use. Decisions never change it.
//
// # Failure
//
// Apply returns an error for an entry that no legal history contains; it names the order, the entry and the event.
package order
