// Package conformance is a service that answers badly: by a script, over HTTP and NATS, with every answer that real services,
// proxies and networks give, and with bytes that are no answer at all. It keeps a ledger of the calls it received and of the
// effects it performed. Its tests run orders against it to their end, and hold the table of docs/services.md.
//
// # Ordering
//
// Calls over NATS are answered in the order in which they arrive, calls over one HTTP connection too.
//
// # Ownership
//
// A Service owns nothing that runs. The listeners that ListenHTTP and ListenNATS return own their goroutines and
// subscriptions until they are closed; the NATS connection is the caller's.
//
// # Failure
//
// A request that cannot be read ends its HTTP connection. A call of a route without a script is answered with 404.
package conformance
