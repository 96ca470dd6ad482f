// Package api is the node's HTTP server: probes, metrics, and orders taken in, told about and acted on.
//
// Ordering: an answer 202 is given after the stream has stored the message, never before; what becomes of it is told
// by GET. Events of one order are sent in the order of its journal, each at least once.
//
// Ownership: the API owns its listener, its connections and a goroutine per event stream; Shutdown waits for all of
// them. What it asks, it asks through the small interfaces of Deps.
//
// Failure: every error is a problem of RFC 9457 (application/problem+json). A request beyond a limit is refused at once
// and loses nothing; a publish that failed is answered 503, which says whether nothing was stored or its fate is unknown,
// and may be sent again under the same order id. A panic ends its own request only. Liveness depends on nothing, so that a NATS outage restarts no node.
package api
