// Package replay folds an order's journal entries a second time, from the rules in docs/protocol.md and the comments of the
// wire contract. It shares no code with the fold that the engine drives orders by (actors/order), so that a defect there
// shows as a history or a checkpoint that this fold refuses. For the same reason it is stricter: it refuses every entry that
// an engine which follows the rules would not append, also where the engine's fold accepts it.
//
// # Ordering
//
// Apply takes all entries of one order, in the order of the journal.
//
// # Ownership
//
// An Order belongs to its caller and keeps parts of the entries that it was given.
//
// # Failure
//
// Apply returns an error for an entry that no legal history contains; the Order is unusable from then on.
package replay
