// Package engine joins the parts that carry orders: the inbox hands deliveries to the supervisor tree, the tree to
// order actors, the actors append to the journal and call the steps.
//
// It is also the library by which a program carries orders itself: New on a connection to NATS with JetStream (of its
// own, or of package embedded), Run until the program ends, package client to publish orders and wait for them. Steps are
// called over NATS or HTTP, or are Functions of the program, which answer with Done, Rejected, Pending, Retry or an error.
// Any number of programs and nodes share the work on one NATS. An order that comes to one that lacks its function parks
// there for 15 to 30 seconds, its attempts untouched, and goes on wherever it wakes; retry, skip, cancel and signals wake
// it at once.
//
// A plan's name and version stand for its content for good: New registers it, and refuses other content under them.
//
// # Ordering
//
// Stopping goes against the flow: the inbox stops asking; what is held is carried to its end, or the drain time-out
// ends; the tree stops its actors and gives back what is left; the inbox sends the last acknowledgements; journal and
// gateways close. One deadline, begun with the stop, bounds all of it. The connection is the caller's and closes after that.
//
// # Ownership
//
// An Engine owns its parts and all their goroutines between New and the return of Run.
//
// # Failure
//
// A failure beyond every budget ends Run with an error that wraps ErrEscalated, after a drain. Deliveries that are not
// settled when Run returns are delivered again, here or elsewhere.
package engine
