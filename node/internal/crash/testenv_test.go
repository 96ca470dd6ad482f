package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

const (
	// ackWait of the nodes, unless shortAckWait. A server that syncs each write to disk can be slow to process a progress
	// acknowledgement, which queues behind others.
	ackWait      = 2 * time.Second
	shortAckWait = "ORDERLY_ACK_WAIT=1s"
	// shortHold makes orders park instead of waiting in memory.
	shortHold = "ORDERLY_HOLD=20ms"
	relaxed   = "ORDERLY_DURABILITY=relaxed"
)

// testEnv is everything outside the nodes.
type testEnv struct {
	*testing.T
	rng *rand.Rand
	dir string
	// environ is what all nodes are started with.
	environ []string
	url     string

	nc       *nats.Conn
	js       jetstream.JetStream
	services *demo.Services
	// effects is the path of the services' log.
	effects string
	load    *load
	// operator decides about orders in attention; nil for none.
	operator *operator
	nodes    []*process
	// disturbances counts what causes redeliveries: kills and pauses of nodes.
	disturbances int
	// extraTakeovers is how often an order may be taken over beside: on a busy machine a progress acknowledgement can be late.
	extraTakeovers int
}

// newWorld has no NATS server of its own: each node embeds one, at the same address and on the same store.
func newTestEnv(t *testing.T, seed uint64, environ ...string) *testEnv {
	t.Helper()
	addr := natstest.FreeAddr(t)
	return emptyTestEnv(t, seed, "nats://"+addr, append(environ, "ORDERLY_NATS_ADDR="+addr))
}

// newSharedTestEnv has one NATS server for all nodes, which is never killed.
func newSharedTestEnv(t *testing.T, seed uint64, environ ...string) *testEnv {
	t.Helper()
	url := natstest.Start(t).ClientURL()
	return emptyTestEnv(t, seed, url, append(environ, "NATS_URL="+url))
}

func emptyTestEnv(t *testing.T, seed uint64, url string, environ []string) *testEnv {
	t.Helper()
	w := &testEnv{T: t, dir: t.TempDir(), url: url, extraTakeovers: 3, rng: rand.New(rand.NewPCG(seed, 0))}
	w.effects = filepath.Join(w.dir, "effects.jsonl")
	w.environ = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir,
		// The nodes share the directory: one of them has the index, and another one takes it over.
		"ORDERLY_DATA_DIR=" + filepath.Join(w.dir, "data"),
		"ORDERLY_PLAN=" + w.writePlan(longTimeout, manyAttempts), "ORDERLY_ACK_WAIT=" + ackWait.String(), "ORDERLY_UNKNOWN_AGE=2s",
		"ORDERLY_LOG_LEVEL=warn", "ORDERLY_LOG_FORMAT=json",
	}, environ...)
	w.load = newLoad(w, seed)
	return w
}

// startNode starts a node without waiting until it is ready.
func (w *testEnv) startNode(environ ...string) *process {
	w.Helper()
	id := fmt.Sprintf("node-%d", len(w.nodes)+1)
	p := startProcess(w.T, id, filepath.Join(w.dir, id+".log"), append(w.environ[:len(w.environ):len(w.environ)], environ...))
	w.nodes = append(w.nodes, p)
	return p
}

// startReady starts a node and waits until it is ready.
func (w *testEnv) startReady() *process {
	w.Helper()
	p := w.startNode()
	p.ready()
	return p
}

// startAll starts the first node, the services and the client.
func (w *testEnv) startAll(behavior demo.Behavior) *process {
	w.Helper()
	p := w.startReady()
	w.nc = natstest.Connect(w, w.url)
	w.js = natstest.JetStream(w, w.nc)
	var err error
	w.services, err = demo.Start(natstest.Connect(w, w.url), demo.Config{Ledger: w.effects, Behaviors: demo.All(behavior)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.services.Stop(); err != nil {
			w.Error(err)
		}
	})
	return p
}

// behave changes how the services behave, and whether payments answer at all.
func (w *testEnv) behave(behavior demo.Behavior, away bool) {
	w.Helper()
	all := demo.All(behavior)
	all.Payments.Away = away
	if err := w.services.Set(all); err != nil {
		w.Fatal(err)
	}
}

func (w *testEnv) kill(p *process) {
	p.kill()
	w.disturbances++
}

// restart lets the node work for a moment, kills it and starts another one.
func (w *testEnv) restart(p *process) *process {
	w.Helper()
	p.ready()
	w.pause(100*time.Millisecond, 900*time.Millisecond)
	w.kill(p)
	return w.startNode()
}

// terminate stops a node with SIGTERM.
func (w *testEnv) terminate(p *process) {
	w.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(stopLimit); code != 0 {
		w.Errorf("%s exits with %d after SIGTERM\n%s", p.id, code, p.tail())
	}
}

// pause lets the load run for a time that the seed chooses.
func (w *testEnv) pause(least, most time.Duration) {
	<-time.After(least + time.Duration(w.rng.Int64N(int64(most-least)+1)))
}
