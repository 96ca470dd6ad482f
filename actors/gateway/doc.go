// Package gateway makes step calls: NATS request-reply (nats://subject), HTTP POST (http://…, https://…), either to a downstream of
// the node's directory (name/path), functions of this program (func:name) and simulated services (sim:…). It handles targets, encodings and responses, and has no knowledge of
// orders, retries or plans: each Do is one attempt.
//
// # Answers
//
// A service answers with a StepReply that has exactly one result, in JSON or protobuf; unknown fields are ignored. It counts
// whatever the status (HTTP, or the header Nats-Service-Error-Code of NATS). A JSON body that is not a StepReply is read as the step
// says (reply, or undo_reply for an undo; see package reading). If it does not say so, an empty 2xx means done, or pending if
// it is 202; any other 2xx, and a NATS reply without a status, is Unreadable: the service performed the step, and what it says is
// unknown. The other statuses are business refusals, faults of the set-up or transient failures: ruleOf has the table. What is not
// understood is never a success and never a refusal.
//
// Protobuf counts without its content type only as an answer to a request in protobuf, with a status 2xx or none. A body that
// broke off is not read. A larger body than Config.MaxReply is read as far as its result is known: its texts are clipped, and the
// data of done are dropped. So are data of more than messages.MaxBody bytes.
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
// A Set starts two goroutines for NATS replies at the first NATS call, up to Config.HTTPConcurrency per downstream that is called
// over HTTP (or as many as the limit of its entry), and up to Config.FunctionConcurrency per function. Close ends them all and waits, for functions that ignore their context five seconds
// at most.
//
// Each downstream that is called over HTTP has connections of its own. They are replaced when its certificates change, and when a
// call times out on a connection on which nothing has arrived meanwhile; calls in flight end on the old ones.
//
// # Failure
//
// Errors wrap a *delivery.Failure, whose text is one line of at most 3 KiB without credentials and without the query of a URL:
//
//   - Transient: no answer, or one that asks for another attempt.
//   - Rejected: a status that means a business refusal of this downstream. A rejection in a StepReply is a reply.
//   - Setup: credentials, address, method, size, certificate, permission, or a stream that answers in place of the service.
//   - Unreadable: see above. Done says that the step is certainly done, and only its data are missing.
//   - Poison: no attempt can succeed with this target or request, or a function says so.
//   - Defect: a function panicked or returned an unusable reply.
//
// Code is the status or error code, if it decided. InDoubt says that the step may have been performed: not if the request cannot
// have reached the service, and not if the answer means that it was refused. A call of a function or downstream that this node
// lacks, or whose reading it cannot compile, is deferred (delivery.Deferral): another node may be able to make it.
//
// NATS reports a forbidden subject asynchronously, to the error handler of the connection. The Set puts one of its own before it
// from the first NATS call to Close, and passes everything on.
package gateway
