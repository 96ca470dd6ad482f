// Package gateway performs step calls: NATS request-reply (nats://subject), HTTP POST (http://…, https://…), functions of
// this program (func:name) and answers made up in process (sim:…). It knows targets, encodings and what an answer means;
// it knows nothing of orders, retries or plans: each Do is one attempt.
//
// # Answers
//
// A service answers with a StepReply, in JSON or protobuf whichever it was asked in; unknown fields are ignored. Where
// the transport has a status (HTTP, and the Nats-Service-Error-Code header of NATS) the status decides the kind:
//
//   - 2xx: a StepReply in the body counts as it stands. An empty body is done (202: pending, the signal being the
//     step's name, the deadline by Retry-After). Any other JSON body is done with that body as its data.
//   - 4xx but 408, 425 and 429: rejected, with code and reason from a StepReply in the body if it is a rejection,
//     else the status and what the body, a problem document or plain text, says.
//   - Everything else, redirects included, is a Transient failure; Retry-After, or a retry in the body, becomes After.
//
// An answer in the other encoding than the request's says so in its Content-Type, unless it is a JSON object.
//
// A NATS reply without that header must be a StepReply with a result: no status vouches for anything else. A reply that
// cannot be read is a Transient failure, for a service that answers garbage may recover. So is one whose data exceed
// messages.MaxBody, which no journal entry could hold.
//
// # Ordering
//
// None: calls are independent, and their answers arrive in any order.
//
// # Ownership
//
// A Call, its Step and its Request are read-only from Do on, for a function can outlive its time-out; so is a StepReply, which may
// be shared between calls. Done is called exactly once, by whichever goroutine learns the end: the caller's own, the
// one that reads NATS replies, a timer's, or an HTTP call's. It must not block.
//
// A Set starts two goroutines for NATS replies at the first NATS call, up to Config.HTTPConcurrency per HTTP host and up to
// Config.FunctionConcurrency per function while calls wait; Close ends them all and waits, for functions that do not heed
// their context five seconds at most.
//
// # Failure
//
// Errors wrap a *delivery.Failure: Transient (no answer, no sense in it, not now), Poison (a target or request that no
// attempt can succeed with) or Defect (a function that panicked or answered nonsense). A call of a function that this
// program lacks is put off (delivery.Deferral), for another node may have it. No error carries credentials or the query
// of a URL.
package gateway
