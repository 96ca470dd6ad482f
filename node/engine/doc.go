// Package engine joins the parts that carry orders: the inbox hands deliveries to the supervisor tree, the tree to
// order actors, the actors append to the journal and call the steps.
//
// # Ordering
//
// Stopping goes against the flow: the inbox stops asking; what is held is carried to its end, or the drain time-out
// ends; the tree stops its actors and gives back what is left; the inbox sends the last acknowledgements; journal and
// gateways close. The connection is the caller's and closes after that.
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
