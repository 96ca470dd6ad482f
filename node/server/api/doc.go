// Package api is the node's HTTP server: probes, metrics, and the endpoints that create, read, list, follow and change orders.
//
// Ordering: a response 202 is sent after the stream has stored the message; GET shows the effect. The events of an order are
// sent in the order of its journal, each at least once.
//
// Ownership: the API owns its listener, its connections and a goroutine per event stream; Shutdown waits for all of them. It
// reaches the node through the interfaces of Deps.
//
// Limits: a body is read before its request takes a slot, and has to make progress. One client address can take half of the
// slots and of the connections. There are fewer slots than connections, so some connections always wait, and the one that has
// waited longest gives way to a new one at a limit. Requests for other hosts and of other web sites are refused.
//
// Failure: every error is a problem of RFC 9457 (application/problem+json). A request beyond a limit is refused at once. A
// failed publish is answered 503, which says whether the message is certainly not stored or may be, and can be sent again
// under the same order id. A panic ends its own request only. Liveness does not depend on NATS, so that a NATS outage does
// not restart nodes.
package api
