// Package gateway makes step calls: NATS request-reply (nats://subject), HTTP POST (http://…, https://…), functions of this
// program (func:name) and simulated services (sim:…). It handles targets, encodings and responses, and has no knowledge of
// orders, retries or plans: each Do is one attempt.
//
// # Replies
//
// A service replies with a StepReply, in the encoding of the request (JSON or protobuf); unknown fields are ignored. A reply
// in the other encoding needs a Content-Type, unless it is a JSON object. If the response has a status (HTTP, or the header
// Nats-Service-Error-Code of NATS), the status decides:
//
//   - 2xx: a StepReply in the body is used as it is. An empty body means done; with 202 it means pending, with the step's name
//     as signal and Retry-After as deadline. Any other JSON body means done, with the body as data.
//   - 4xx except 408, 425 and 429: rejected, with code and reason of a rejection in the body, or else the status and the text
//     of the body (problem document or plain text).
//   - Others, redirects included: Transient failure, to be retried after Retry-After or the delay of a retry in the body.
//
// A NATS reply without that header must be a StepReply with a result. A reply that cannot be read is a Transient failure: the
// service may recover. So is a reply with more than messages.MaxBody bytes of data, which no journal entry could hold.
//
// # Ordering
//
// None: calls are independent and end in any order.
//
// # Ownership
//
// A Call with its Step and Request is read-only from Do on, also after Done: a function can outlive its timeout. So is a
// StepReply, which calls may share. Done is called exactly once, by any goroutine: the caller's, one that reads NATS replies, a
// timer's, or one of an HTTP call or a function. It must not block.
//
// A Set starts two goroutines for NATS replies at the first NATS call, up to Config.HTTPConcurrency per HTTP host, and up to
// Config.FunctionConcurrency per function. Close ends them all and waits, for functions that ignore their context five seconds
// at most.
//
// # Failure
//
// Errors wrap a *delivery.Failure: Transient (timeout, 5xx, 429, malformed reply, unreachable), Poison (no attempt can succeed
// with this target or request) or Defect (a function panicked or returned an unusable reply). A call of a function that this
// program lacks is deferred (delivery.Deferral): another node may have it. No error contains credentials or the query of a URL.
package gateway
