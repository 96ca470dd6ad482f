// Package reading reads answers of services that do not know Orderly. A Reading of a plan says in expressions of the Common
// Expression Language (CEL) what a JSON answer means; Compile checks it, and Program.Read applies it to one answer.
//
// # Expressions
//
// An expression has the variables body, the JSON value, and status, a whole number: the HTTP status, or the value of
// Nats-Service-Error-Code, or 0 for a NATS answer without one, and -1 if the value is no HTTP status. It has the standard library of CEL and nothing else.
//
// The conditions are asked in the order done, rejected, pending, retry, and the first that is true decides. A condition that
// asks for a place the body lacks is false: body.status == "ok" is false for {}, and so is body.status != "ok". So is one
// whose result is null. Any other error of evaluation, such as "a" < 1, is an error of Read.
//
// Whole numbers of 64 bits are exact; all other numbers are of type double.
//
// # Data
//
// If the expression of data is a path, such as body, body.payment, body.items[0].ref or body["x-y"], the data are the text of
// that place, digit for digit. Otherwise they are computed: whole numbers of 64 bits are written exactly, others as the
// shortest decimal that is the same double, so that 1.10 becomes 1.1. Without an expression the data are the whole body. A
// path to a place that the body lacks gives no data.
//
// # Bounds
//
// An expression has at most 1 KiB. It is stopped at a cost limit, which is in the order of 10 ms. Lists and objects are not
// compared with each other, unless one is empty; a regular expression must be a literal, and searches at most 64 KiB. What
// computed data take is bounded.
//
// # Ordering
//
// None: a Program is immutable and safe for concurrent use. It does not block and starts no goroutine.
package reading
