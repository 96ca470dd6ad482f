// Package actors holds the order actor: the shell around the pure core (package order) that reads and appends the
// journal, calls the steps and answers its supervisor.
//
// An actor lives exactly as long as it holds an unsettled delivery. Its supervisor spawns it with the first delivery
// of an order, hands it every further one, and stops it when all are settled.
//
// # Ordering
//
// Deliveries are decided one after the other, in the order in which they came. At most one append and one step call
// of an order are under way at an actor. A delivery is settled only after the journal acknowledged everything it
// caused (I1).
//
// # Ownership
//
// All state belongs to the actor and is touched only while it handles a message. Completions of appends, calls and
// reads run elsewhere and do nothing but send a message that carries the actor instance they belong to; what was meant
// for an earlier instance is ignored.
//
// # Failure
//
// The actor hands failures to its supervisor by panicking with a *delivery.Failure: transient after a failed attempt
// was journaled, infrastructure when the journal is away. The restarted instance knows nothing and reads the journal.
// An append whose fence missed, or whose reply was lost, is followed by a read: if the journal still names this
// delivery's incarnation the actor merges, otherwise it drops everything and settles nothing (R4).
package actors
