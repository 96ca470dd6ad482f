package conformance_test

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/conformance"
	"github.com/orderly-engine/orderly/node/engine"
)

// takeover makes messages of a stopped node return to another one after a second.
var takeover = engine.Config{AckWait: time.Second}

const tookOver = begun + "( resumed)+"

// large is a plan whose results together exceed the server's limit for one message.
const large = `name: large
version: 1
steps:
  - {name: before, do: nats://good.before, undo: nats://good.before_undo, timeout: 1m}
  - {name: more, do: nats://good.before, undo: nats://good.before_undo, timeout: 1m}
  - {name: hostile, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: last, do: nats://good.after, timeout: 1m}
`

var keyLines = []line{
	{answer: "no answer to a node that stops; then done to another node", over: both, cfg: takeover,
		do: then(silentPerformed), run: stopsDuringCall,
		end: completed, events: tookOver + " " + toEnd, note: "both calls have the same key and the same bytes", performed: 1, calls: 2},
	{answer: "no answer to a node that stops; then 422 to another node", over: both, cfg: takeover,
		do: conformance.Sequence(silentPerformed, bare(422)), run: stopsDuringCall,
		end: attention, says: "out of paper", events: tookOver + " step_failed attention", performed: 1, calls: 2},
	{answer: "no answer to a node that stops; then 422 to another node, with `in_doubt: undo`", over: both, cfg: takeover, step: "in_doubt: undo",
		do: conformance.Sequence(silentPerformed, bare(422)), run: stopsDuringCall,
		end: rejected, events: tookOver + " step_rejected step_undone step_undone rejected", performed: 1, undone: 1, calls: 2},
	{answer: "422 to another body under the same key, no answer to the first call, and one to a node that stops", over: both, cfg: takeover, timeout: "1m",
		run: bindsKeyToBody, end: completed, events: tookOver + " step_failed " + toEnd, performed: 1, calls: 3},
	{answer: "nothing: the request is larger than the `max_payload` of the NATS server", over: onlyNATS, plan: large, server: func(*server.Options) {},
		run: neverSent, end: attention, says: "maximum payload"},
	{answer: "nothing: the request is larger than the `max_payload` of the NATS server; a cancel", over: onlyNATS, plan: large, server: func(*server.Options) {},
		run: func(b *bench) { neverSent(b); b.await(attention, "maximum payload"); cancel(b) },
		end: cancelled, note: "the step was not performed, and is not undone", undos: none},

	{answer: "no answer to a node that stops, until the key may be forgotten", over: both, cfg: takeover, downstreams: forgetful, plan: named,
		do: conformance.Sequence(silentPerformed, forgotten), run: stopsUntilForgotten,
		end: attention, says: "may be forgotten", note: "the step is not called again", performed: 1, calls: 1},
	{answer: "no answer to a node that stops, until the key may be forgotten; a skip", over: both, cfg: takeover, downstreams: forgetful, plan: named,
		do:  conformance.Sequence(silentPerformed, forgotten),
		run: func(b *bench) { stopsUntilForgotten(b); b.await(attention, "may be forgotten"); skip(b) },
		end: completed, performed: 1, calls: 1},
	{answer: "no answer to a node that stops, until the key may be forgotten; a retry, and done", over: both, cfg: takeover, downstreams: forgetful, plan: named,
		do:  then(silentPerformed),
		run: func(b *bench) { stopsUntilForgotten(b); b.await(attention, "may be forgotten"); retry(b) },
		end: completed, performed: 1, calls: 2},
	{answer: "no answer at any attempt, until the key may be forgotten", over: both, downstreams: forgetful, timeout: "2s", attempts: 100, target: "warehouse/",
		do:  always(silentPerformed),
		end: attention, says: "may be forgotten", performed: 1},

	{answer: "nothing: the service moves to another address, and the entry in the file of downstreams says so", over: both, attempts: 20,
		run: moves, end: completed, performed: 1},
	{answer: "nothing: the node has no entry in its file of downstreams; then a node that has one", over: both, downstreams: "warehouse: {AT}", plan: named,
		do: always(bare(401)), run: lacksDownstream, end: completed, performed: 1},
}

// named is a plan that names the service.
const named = `name: named
version: 1
steps:
  - {name: before, do: nats://good.before, undo: nats://good.before_undo, timeout: 1m}
  - {name: hostile, do: warehouse/do, undo: warehouse/undo, timeout: 1m}
  - {name: last, do: nats://good.after, timeout: 1m}
`

// forgetful is a file of downstreams with a service that remembers keys for a second.
const forgetful = "warehouse: {AT, key_lifetime: 1s}"

// forgotten is the answer of a service that has forgotten the key, and performs the step again.
var forgotten = conformance.Answer{Perform: true, Forgetful: true, Body: stepReply}

// neverSent lowers the server's limit, and creates an order with two results of 150 KiB.
func neverSent(b *bench) {
	const limit = 220 << 10
	b.own.reload(b.T, func(o *server.Options) { o.MaxPayload = limit })
	b.send(b.nc.ForceReconnect())
	b.until("the node knows the limit", func() bool { return b.nc.MaxPayload() == limit })
	b.good.Set("before", always(conformance.Done(`"`+strings.Repeat("x", 150<<10)+`"`)))
	b.create(orderID)
}

// stopsUntilForgotten stops the node while the service does not answer, and starts another one when the service may have
// forgotten the key.
func stopsUntilForgotten(b *bench) {
	b.create(orderID)
	b.untilCalled(1)
	called := time.Now()
	b.engine.Close()
	b.until("the key may be forgotten", func() bool { return time.Since(called) > 1500*time.Millisecond })
	b.startEngine(b.cfg)
}

// moves starts the service at another address while the order waits, and a node that knows the address.
func moves(b *bench) {
	b.stopHostile()
	b.create(orderID)
	b.await(parked, "")
	b.engine.Close()
	file := "moved: {nats: moved, moved_from: [nats://hostile]}"
	if b.over == overHTTP {
		old := b.addr
		b.addr = natstest.FreeAddr(b)
		file = "moved: {url: http://" + b.addr + ", moved_from: [http://" + old + "]}"
		b.startHostile()
	} else {
		b.stop = b.serveNATS(b.hostile, "moved")
	}
	b.cfg.Downstreams = b.parse(file)
	b.startEngine(b.cfg)
}

// lacksDownstream parks the order at a node without the entry of its plan.
func lacksDownstream(b *bench) {
	b.create(orderID)
	b.await(parked, "out of paper")
	b.engine.Close()
	has, plan := b.cfg.Downstreams, b.plan
	b.cfg.Downstreams = b.parse("other: {nats: other}")
	b.plan = engine.Plan{Name: "other", Version: 1, Steps: []engine.Step{{Name: "other", Do: engine.URL("other/do")}}}
	b.startEngine(b.cfg)
	b.await(parked, "no downstream warehouse")
	b.engine.Close()
	mend("do")(b)
	b.cfg.Downstreams, b.plan = has, plan
	b.startEngine(b.cfg)
	signal("wake")(b)
}

// stopsDuringCall stops the node while the service does not answer, and starts another one.
func stopsDuringCall(b *bench) {
	b.create(orderID)
	b.untilCalled(1)
	b.restart()
}

// bindsKeyToBody lets the service perform the first call without an answer to a node that stops, ask for a retry, and answer
// done to the third call, but 422 to any other body than the first.
func bindsKeyToBody(b *bench) {
	var first [sha256.Size]byte
	b.hostile.Set("do", func(c conformance.Call) conformance.Answer {
		switch sum := sha256.Sum256(c.Body); {
		case c.Number == 1:
			first = sum
			return silentPerformed
		case sum != first:
			return conformance.Status(422, "another request has this key")
		case c.Number == 2:
			return bare(503)
		}
		return conformance.Done("")
	})
	stopsDuringCall(b)
}
