package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// ackWait of the nodes, unless they are impatient. A server that syncs each write to disk can take long to hear a sign
// of life: it stands in line behind acknowledgements.
const (
	ackWait   = 2 * time.Second
	impatient = "ORDERLY_ACK_WAIT=1s"
)

// parking makes orders park instead of waiting in memory.
const parking = "ORDERLY_HOLD=20ms"

// world is everything that outlives the victims.
type world struct {
	*testing.T
	rng *rand.Rand
	dir string
	// environ is what all nodes are started with.
	environ []string
	url     string

	nc       *nats.Conn
	js       jetstream.JetStream
	services *demo.Services
	effects  string
	load     *load
	// person decides about orders in attention; nil: nobody does.
	person *person
	nodes  []*process
	// disturbances counts what makes deliveries come again: kills, stops.
	disturbances int
	// spare is how many more takeovers of one order are borne: a busy machine may hear a sign of life too late.
	spare int
}

// newWorld has no NATS: the first node carries it, always at the same address.
func newWorld(t *testing.T, seed uint64, environ ...string) *world {
	t.Helper()
	addr := freeAddr(t)
	w := emptyWorld(t, seed, "nats://"+addr)
	w.environ = append(w.environ, "ORDERLY_NATS_ADDR="+addr)
	w.environ = append(w.environ, environ...)
	return w
}

// newSharedWorld has a NATS of its own, with as many nodes as are started beside it. It never dies, and need not wait for
// the disk.
func newSharedWorld(t *testing.T, seed uint64, environ ...string) *world {
	t.Helper()
	server, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	w := emptyWorld(t, seed, server.URL())
	w.environ = append(w.environ, "NATS_URL="+w.url)
	w.environ = append(w.environ, environ...)
	return w
}

func emptyWorld(t *testing.T, seed uint64, url string) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), url: url, spare: 3, rng: rand.New(rand.NewPCG(seed, 0))}
	file := w.plan(patientCall, manyAttempts)
	w.effects = filepath.Join(w.dir, "effects.jsonl")
	w.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir,
		// Nodes of one world share the directory: there one of them keeps the index, and another takes it over.
		"ORDERLY_DATA_DIR=" + filepath.Join(w.dir, "data"),
		"ORDERLY_PLAN=" + file, "ORDERLY_ACK_WAIT=" + ackWait.String(), "ORDERLY_UNKNOWN_AGE=2s",
		"ORDERLY_LOG_LEVEL=warn", "ORDERLY_LOG_FORMAT=json",
	}
	w.load = newLoad(w, seed)
	return w
}

// start starts a node; its name says which it is.
func (w *world) start(environ ...string) *process {
	w.Helper()
	id := fmt.Sprintf("node-%d", len(w.nodes)+1)
	p := start(w.T, id, filepath.Join(w.dir, id+".log"), append(w.environ[:len(w.environ):len(w.environ)], environ...))
	w.nodes = append(w.nodes, p)
	return p
}

// open starts a node, and around it the services and the client.
func (w *world) open(behavior demo.Behavior, environ ...string) *process {
	w.Helper()
	p := w.start(environ...)
	p.mustBeReady()
	w.nc = w.connect("client")
	var err error
	if w.js, err = jetstream.New(w.nc); err != nil {
		w.Fatal(err)
	}
	w.services, err = demo.Start(w.connect("services"), demo.Config{Ledger: w.effects, Behaviors: demo.All(behavior)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.services.Stop(); err != nil {
			w.Error(err)
		}
	})
	w.load.begin()
	return p
}

// behave changes how the services behave, and whether that of payments answers at all.
func (w *world) behave(behavior demo.Behavior, away bool) {
	w.Helper()
	all := demo.All(behavior)
	all.Payments.Away = away
	if err := w.services.Set(all); err != nil {
		w.Fatal(err)
	}
}

// connect returns a connection that comes back whatever happens to the server.
func (w *world) connect(name string) *nats.Conn {
	w.Helper()
	nc, err := nats.Connect(w.url, nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // a server that is killed is no news
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	return nc
}

// kill ends a node as kill -9 does.
func (w *world) kill(p *process) {
	p.kill()
	w.disturbances++
}

// pause lets the load go on for a moment that the seed chooses.
func (w *world) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(w.rng.Int64N(int64(most-least)+1)))
}
