package conformance_test

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/node/conformance"
)

const stepReply = `{"done":{}}`

// raw is an answer of exact bytes after the effect was performed.
func raw(text string) conformance.Answer {
	return conformance.Answer{Perform: true, Raw: strings.ReplaceAll(text, "\n", "\r\n")}
}

// head is the head of an HTTP answer with a body of n bytes.
func head(status, n int) string {
	return fmt.Sprintf("HTTP/1.1 %d x\nContent-Type: application/json\nContent-Length: %d\n\n", status, n)
}

// broken are HTTP answers that break off before their status is complete, or are no HTTP, after the effect.
var broken = map[string]conformance.Answer{
	"reset":              {Perform: true, Fault: conformance.Reset},
	"half a status line": raw("HTTP/1.1 20"),
	"half a head":        raw("HTTP/1.1 200 OK\nContent-Le"),
	"no HTTP":            raw("SSH-2.0-OpenSSH_9.6\n"),
	"TLS":                {Perform: true, Raw: "\x15\x03\x01\x00\x02\x02\x46"},
	"a head of 100 kB":   raw("HTTP/1.1 200 OK\nX-Fill: " + strings.Repeat("x", 100_000) + "\nContent-Length: 11\n\n" + stepReply),
	"two lengths":        raw("HTTP/1.1 200 OK\nContent-Length: 11\nContent-Length: 12\n\n" + stepReply),
	"a negative length":  raw("HTTP/1.1 200 OK\nContent-Length: -1\n\n" + stepReply),
	"only 103":           raw("HTTP/1.1 103 Early Hints\nLink: </x>\n\n"),
}

// cut are HTTP answers of 200 whose body breaks off.
var cut = map[string]conformance.Answer{
	"a shorter body than its length": raw(head(200, 500) + `{"done":{"data":`),
	"no body":                        raw(head(200, 11)),
	"a broken chunk":                 raw("HTTP/1.1 200 OK\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n5\n{\"don\nZZ\n"),
	"no last chunk":                  raw("HTTP/1.1 200 OK\nContent-Type: application/json\nTransfer-Encoding: chunked\n\nb\n" + stepReply + "\n"),
}

// slow are HTTP answers that are not complete within the time-out.
var slow = map[string]conformance.Answer{
	"no answer":        {Perform: true, Fault: conformance.Silent},
	"half a head":      {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 200 OK\r\nContent-Le"},
	"a head only":      {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"},
	"half a body":      {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + stepReply[:5]},
	"an open body":     {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 200 OK\r\n\r\n" + stepReply},
	"100 and no more":  {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 100 Continue\r\n\r\n"},
	"headers, forever": {Perform: true, Fault: conformance.Silent, Raw: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Fill: x\r\n", 100)},
}

// odd are unusual HTTP answers that are correct all the same.
var odd = map[string]conformance.Answer{
	"HTTP/1.0":             raw("HTTP/1.0 200 OK\n\n" + stepReply),
	"no length":            raw("HTTP/1.1 200 OK\nContent-Type: application/json\n\n" + stepReply),
	"chunks":               raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\n{\"do\n7\nne\":{}}\n0\n\n"),
	"chunks and a trailer": raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\nb\n" + stepReply + "\n0\nX-Sum: 1\n\n"),
	"100 and 103 before":   raw("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </x>\n\n" + head(200, 11) + stepReply),
	"a byte order mark":    raw(head(200, 14) + "\ufeff" + stepReply),
	"lines around":         raw(head(200, 13) + "\n" + stepReply),
	"more than its length": raw(head(200, 11) + stepReply + "<!-- served by proxy 7 -->"),
}

func onlyThenDone(answers map[string]conformance.Answer) map[string]conformance.Script {
	all := map[string]conformance.Script{}
	for name, a := range answers {
		all[name] = then(a)
	}
	return all
}

func alwaysEach(answers map[string]conformance.Answer) map[string]conformance.Script {
	all := map[string]conformance.Script{}
	for name, a := range answers {
		all[name] = always(a)
	}
	return all
}

var (
	onlyHTTP = []transport{overHTTP}
	onlyNATS = []transport{overNATS}
)

// natsError is an answer over NATS with the headers of an error.
func natsError(code, text string) conformance.Answer {
	a := conformance.Answer{}
	if code != "" {
		a = a.With("Nats-Service-Error-Code", code)
	}
	if text != "" {
		a = a.With("Nats-Service-Error", text)
	}
	return a
}

var silent = conformance.Answer{Fault: conformance.Silent}

var transportLines = []line{
	{answer: "a connection that breaks before the status, or an answer that is no HTTP, then done", over: onlyHTTP, cases: onlyThenDone(broken),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "200 and a body that breaks off, then done", over: onlyHTTP, cases: onlyThenDone(cut),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "200 and a body that breaks off, at every attempt; a cancel, and then done", over: onlyHTTP, cases: alwaysEach(cut),
		acts: []act{onAttention("", "a cancel", func(b *bench) { mend("do")(b); cancel(b) })},
		end:  cancelled, performed: 1, undone: 1},
	{answer: "no complete answer within the time-out, then done", over: onlyHTTP, timeout: "2s", attempts: 100, cases: onlyThenDone(slow),
		end: completed, events: begun + failed + " " + toEnd, performed: 1},
	{answer: "no answer, then done", over: both, timeout: "2s", attempts: 100, do: then(silent),
		end: completed, events: begun + failed + " " + toEnd, performed: 1},
	{answer: "no answer at any attempt", over: both, timeout: "2s", do: always(silent),
		end: attention, says: "did not answer within 2s", events: begun + " step_failed step_failed step_failed attention"},
	{answer: "an answer after the time-out, and another one to the next call", over: both, timeout: "2s", attempts: 100,
		do:  conformance.Sequence(conformance.Answer{Body: `{"rejected":{"code":"late"}}`, Fault: conformance.Late}, conformance.Done("")),
		end: completed, note: "the late answer has no effect", events: begun + failed + " " + toEnd, performed: 1},
	{answer: "the answer twice", over: both, do: always(conformance.Answer{Perform: true, Body: stepReply, Fault: conformance.Twice}),
		end: completed, note: "the second one has no effect", events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "an unusual but correct HTTP answer", over: onlyHTTP, cases: alwaysEach(odd),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "`StepReply` in protobuf with its `Content-Type`", over: both,
		do:  always(conformance.Answer{Perform: true, Header: map[string]string{"Content-Type": "application/protobuf"}, Body: "\x0a\x00"}),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},

	{answer: "an empty message; a cancel", over: onlyNATS, do: always(conformance.Answer{Perform: true}),
		acts: []act{onAttention("", "a second call and a cancel", cancel)},
		end:  cancelled, performed: 1, undone: 1, calls: 2},
	{answer: "`Nats-Service-Error-Code` that is not a number, then done", over: onlyNATS, do: then(natsError("OOPS", "out of paper")),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "`Nats-Service-Error` without a code, then done", over: onlyNATS, do: then(natsError("", "out of paper")),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "`Nats-Service-Error-Code: 422` and `Nats-Service-Error`", over: onlyNATS, do: always(natsError("422", "out of paper")),
		end: rejected, says: "out of paper", events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "nobody subscribes to the subject; then the service starts", over: onlyNATS, attempts: 20, run: startsLate,
		end: completed, note: "no attempt is spent once the circuit is open", performed: 1},
	{answer: "nothing listens at the address; then the service starts", over: onlyHTTP, attempts: 20, run: startsLate,
		end: completed, note: "no attempt is spent once the circuit is open", performed: 1},
	{answer: "a JetStream stream stores the subject and acknowledges the call before the service answers; then the stream is removed", over: onlyNATS,
		run: streamOnSubject, end: completed, note: "the acknowledgement is not an answer", performed: 1},
	{answer: "the permission to publish to the subject is taken from the node, and granted again", over: onlyNATS,
		server: func(*server.Options) {}, run: withoutPermission, end: completed, note: "no attempt is spent", events: begun + waited + " " + toEnd, performed: 1},
}

// startsLate takes the service away before the order is created.
func startsLate(b *bench) {
	b.stopHostile()
	b.create(orderID)
	b.await(parked, "")
	b.await(parked, "")
	b.startHostile()
}

// streamOnSubject has a stream on the service's subjects while the order parks. The service answers after the stream.
func streamOnSubject(b *bench) {
	b.hostile.Set("do", always(conformance.Answer{Perform: true, Body: stepReply, Fault: conformance.Late}))
	remove := b.storeSubject()
	b.create(orderID)
	b.await(parked, "")
	remove()
	mend("do")(b)
}

// withoutPermission takes the permission from the node, which began with it, and grants it again when the order has parked.
func withoutPermission(b *bench) {
	b.own.reload(b.T, func(o *server.Options) {
		o.Users[1].Permissions = &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"hostile.>"}}}
	})
	b.create(orderID)
	b.await(parked, "permit its user to publish")
	b.own.reload(b.T, func(o *server.Options) { o.Users[1].Permissions = nil })
}
