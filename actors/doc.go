// Package actors holds the order actor: the shell around the pure core (package order) that reads and appends the
// journal, calls the steps and answers its supervisor. The protocol is in docs/protocol.md.
//
// An actor exists exactly as long as it holds an unsettled delivery. Its supervisor spawns it with the first delivery of an
// order, sends it every further one, and stops it when all are settled. A delivery goes through the files in this order:
// order.go (Receive, advance), deliver.go and read.go (decide), append.go (journal it), call.go (drive the
// order), and append.go again (park, or settle); stash.go holds what precedes its order.
//
// # Ordering
//
// Deliveries are decided one after the other, in the order in which they arrived. At most one append and one step call of an
// order are in progress at an actor. A delivery is settled only after the journal acknowledged everything it caused (I1).
//
// # Ownership
//
// All state belongs to the actor and is touched only while it handles a message. Appends, step calls, background work and
// timers run outside the actor and send their results to it as completions (async.go). One that an earlier instance of the
// actor started is ignored.
//
// # Failure
//
// A step call that failed is made again by the same actor, after a timer if it must wait; a wait longer than Config.Hold
// parks the order. The actor panics with a *delivery.Failure when the journal, the inbox or the timers are unavailable
// (infrastructure), and when the journal cannot be understood (a defect): the restarted instance has no state and reads the
// journal. An append whose fence missed, or whose reply was lost, is followed by a read: if the journal still names this
// delivery's incarnation the actor continues, otherwise it drops everything and settles nothing (R4).
package actors
