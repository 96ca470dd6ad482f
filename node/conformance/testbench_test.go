package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/conformance"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// orderID is the order of a line.
const orderID = "o-1"

// bench runs one line over one transport: an account of the server, an engine, and the two services of the plan.
type bench struct {
	*testing.T
	line
	over   transport
	server *natstest.Server
	// own is the server if it is the line's own.
	own *ownServer
	// user of the services and the client, and node of the engine.
	user, node nats.Option

	// hostile is the service of the line, good that of the steps before and after it.
	hostile, good *conformance.Service
	// url is the beginning of the hostile targets.
	url string
	// addr is that of the hostile service over HTTP; stop ends the service.
	addr   string
	stop   func()
	plan   engine.Plan
	orders *client.Client
	engine *engine.Engine
	// nc is the connection of the engine.
	nc *nats.Conn
	// seen is the journal sequence of the last event that was waited for.
	seen uint64
}

func runLine(t *testing.T, s *accounts, l line, over transport) {
	b := newBench(t, s, l, over)
	b.startEngine(b.cfg)
	if b.run != nil {
		b.run(b)
	} else {
		b.create(orderID)
		for _, a := range b.acts {
			b.await(a.on, a.says)
			if a.send != nil {
				a.send(b)
			}
		}
	}
	b.await(b.end, b.says)
	b.finalChecks()
}

func newBench(t *testing.T, s *accounts, l line, over transport) *bench {
	t.Helper()
	b := &bench{T: t, line: l, over: over}
	if l.server == nil {
		b.server, b.user = s.Server, s.open(t)
		b.node = b.user
	} else {
		b.own = newOwnServer(t, l.server)
		b.server, b.user, b.node = b.own.Server, nats.UserInfo("user", password), nats.UserInfo("node", password)
	}
	performs := always(conformance.Done(""))
	for _, script := range []*conformance.Script{&b.do, &b.undo, &b.after} {
		if *script == nil {
			*script = performs
		}
	}
	b.hostile = conformance.New(map[string]conformance.Script{"do": b.do, "undo": b.undo})
	b.good = conformance.New(map[string]conformance.Script{
		"before": always(conformance.Done(`{"id":"b-1"}`)), "before_undo": performs, "after": b.after,
	})
	b.serveNATS(b.good, "good")
	b.url = "nats://hostile."
	if over == overHTTP {
		b.addr = natstest.FreeAddr(t)
		b.url = "http://" + b.addr + "/"
	}
	b.startHostile()
	t.Cleanup(func() { b.stop() })
	if l.downstreams != "" {
		at := "nats: hostile"
		if over == overHTTP {
			at = "url: http://" + b.addr
		}
		b.cfg.Downstreams = b.parse(strings.ReplaceAll(l.downstreams, "AT", at))
	}
	var err error
	if b.plan, err = engine.ParsePlan([]byte(b.planText())); err != nil {
		t.Fatalf("%v\n%s", err, b.planText())
	}
	return b
}

// parse reads a file of downstreams.
func (b *bench) parse(file string) *engine.Downstreams {
	b.Helper()
	d, err := engine.ParseDownstreams([]byte(file), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) connect() *nats.Conn { return natstest.Connect(b, b.server.ClientURL(), b.user) }

// serveNATS serves a service until stop is called, or the test ends.
func (b *bench) serveNATS(s *conformance.Service, prefix string) (stop func()) {
	b.Helper()
	nc := b.connect()
	if _, err := s.ListenNATS(nc, prefix); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	return nc.Close
}

// startHostile makes the hostile service reachable, at the same address each time.
func (b *bench) startHostile() {
	b.Helper()
	if b.over == overNATS {
		b.stop = b.serveNATS(b.hostile, "hostile")
		return
	}
	h, err := b.hostile.ListenHTTP(b.addr)
	if err != nil {
		b.Fatal(err)
	}
	b.stop = h.Close
}

// stopHostile makes it unreachable.
func (b *bench) stopHostile() { b.stop() }

// planText is the plan file of the line.
func (b *bench) planText() string {
	if b.line.plan != "" {
		return strings.ReplaceAll(b.line.plan, "HOSTILE/", b.url)
	}
	attempts, timeout := b.attempts, b.timeout
	if attempts == 0 {
		attempts = 3
	}
	if timeout == "" {
		timeout = "1m"
	}
	url := b.url
	if b.target != "" {
		url = b.target
	}
	var p strings.Builder
	fmt.Fprintf(&p, `name: conformance
version: 1
steps:
  - {name: before, do: nats://good.before, undo: nats://good.before_undo, timeout: 1m}
  - name: hostile
    do: %[1]sdo
    timeout: %s
    retry: {initial: 5ms, max: 20ms, attempts: %d}
`, url, timeout, attempts)
	if !b.last {
		fmt.Fprintf(&p, "    undo: %sundo\n", url)
	}
	for l := range strings.Lines(b.step) {
		p.WriteString("    " + strings.TrimRight(l, "\n") + "\n")
	}
	if !b.last {
		p.WriteString("  - {name: after, do: nats://good.after, timeout: 1m, retry: {initial: 5ms, max: 20ms, attempts: 3}}\n")
	}
	return p.String()
}

// startEngine runs a node until the test ends, or until it is stopped. The client reads and writes messages about orders.
func (b *bench) startEngine(cfg engine.Config) {
	b.Helper()
	b.nc = natstest.Connect(b, b.server.ClientURL(), b.node)
	e, err := engine.New(natstest.Context(b), b.nc, b.plan, cfg)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	b.engine = e
	b.Cleanup(func() {
		e.Close()
		if err := <-ended; err != nil {
			b.Errorf("the engine ended with %v", err)
		}
	})
	if b.orders == nil {
		if b.orders, err = client.New(b.connect()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(b.orders.Close)
	}
}

// restart stops the node as a crash does, and starts another one.
func (b *bench) restart() {
	b.Helper()
	b.engine.Close()
	b.startEngine(b.cfg)
}

// untilCalled waits until the step was called n times.
func (b *bench) untilCalled(n int) {
	b.Helper()
	b.until("the step is called", func() bool { return len(b.hostile.Calls()) >= n })
}

// storeSubject creates a stream of the service's subjects, which acknowledges its calls, until remove is called.
func (b *bench) storeSubject() (remove func()) {
	b.Helper()
	const name = "TAKES_ALL"
	js := natstest.JetStream(b, b.connect())
	if _, err := js.CreateStream(natstest.Context(b), jetstream.StreamConfig{Name: name, Subjects: []string{"hostile.>"}}); err != nil {
		b.Fatal(err)
	}
	return func() { b.send(js.DeleteStream(natstest.Context(b), name)) }
}

// create publishes an order.
func (b *bench) create(id string) {
	b.Helper()
	o := engine.Order{ID: id, CustomerID: "c-7", Items: []engine.Item{{ProductID: "sku-1", Quantity: 2, UnitPrice: 9.5}}}
	if err := b.orders.Create(natstest.Context(b), o); err != nil {
		b.Fatal(err)
	}
}

var errFound = errors.New("found")

// await waits for an event of the line's order, after those waited for before, whose detail contains says.
func (b *bench) await(kind, says string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	var unexpected bool
	err := b.orders.FollowFrom(ctx, orderID, b.seen, func(events []timeline.Event) error {
		for _, e := range events {
			b.seen = e.Sequence
			switch {
			case e.Kind == kind && strings.Contains(plainText(e), says):
				return errFound
			case e.Kind == attention:
				unexpected = true
				return errFound
			}
		}
		return nil
	})
	if !errors.Is(err, errFound) || unexpected {
		b.Fatalf("%v while waiting for %s %q of\n%s", err, kind, says, b.history(orderID))
	}
}

// plainText is an event's detail and summary.
func plainText(e timeline.Event) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(string(e.Detail)) + e.Summary
}

// kinds are the kinds of the order's events.
func (b *bench) kinds(id string) string {
	var all []string
	for _, e := range b.view(id).Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

func (b *bench) view(id string) *timeline.View {
	b.Helper()
	v, err := b.orders.Order(natstest.Context(b), id)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// history is what happened, for a failed test.
func (b *bench) history(id string) string {
	var out strings.Builder
	v, err := b.orders.Order(natstest.Context(b), id)
	if err != nil {
		return err.Error()
	}
	for _, e := range v.Events {
		fmt.Fprintf(&out, "  %s %s\n", e.Kind, clip(string(e.Detail)))
	}
	for _, c := range b.hostile.Calls() {
		fmt.Fprintf(&out, "  call %d of %s\n", c.Number, c.Key)
	}
	return out.String()
}

func clip(s string) string { return s[:min(len(s), 400)] }

// until waits for a condition of the test's own.
func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	natstest.Eventually(b, what, ok)
}
