// Package order is the pure core of the engine: what is known of an order (State), how journaled events change it
// (Apply), what a delivery means for it (Receive), what its driver does next (Next), and what the answer to a step
// call amounts to (Settle). It has no clock, no randomness and no I/O: time and jitter arrive as values.
//
// What a delivery means is one table (table.go): facts about the message and its order, and the first row whose facts are
// true answers. testdata/table.golden shows it with every delivery there can be.
//
// # Ordering
//
// State changes only by Apply, in the order of the journal. Replaying an order's entries gives its state on any node.
//
// # Ownership
//
// A State belongs to whoever folded it and is not safe for concurrent use. Decisions never change it.
//
// # Failure
//
// Apply refuses an entry that no legal history could contain; the error names the order, the entry and the event.
package order
