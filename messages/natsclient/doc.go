// Package natsclient has the parts of JetStream that nats.go lacks: a Requester that has any number of requests in flight
// over one subscription, a Publisher that publishes with acknowledgements, one by one or in atomic batches, reads of
// stored messages in pages, and a PullSession that pulls from a durable consumer and leaves flow control to its caller. An
// API takes the API prefix and the domain from a jetstream.JetStream. Callers use nats.go for everything else.
//
// # Ordering
//
// Handlers of one Requester (and the Acked of one Publisher) are called one at a time, never on the goroutine that sends: a
// handler may send, and may not block. Replies to different requests arrive in any order.
//
// # Ownership
//
// The connection is the caller's and stays open. A Requester has two goroutines, the subscription's and one that watches
// time limits and the connection; a Publisher with batches has one more. Close ends them and waits.
// A PullSession has its subscription's goroutine; Drain and Close end it without waiting.
//
// # Failure
//
// Every request of a Requester ends exactly once: with its last reply, or with an error. The error wraps ErrNotSent if the
// server certainly did not get the request; after any other error the server may have acted on it, or may do so later,
// because nats.go sends its buffer after a reconnect.
package natsclient
