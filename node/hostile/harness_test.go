package hostile_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// harness is one node and the test's connections to it.
type harness struct {
	*testing.T
	dir  string
	url  string
	node *process
	// js is the connection that sends the input; observer publishes well-behaved orders and watches them.
	js       jetstream.JetStream
	observer *nats.Conn
	service  *service
}

// plan has one simulated step, and one of the test's service.
const plan = `name: hostile
version: 1
steps:
  - {name: reserve, do: "sim:", undo: "sim:"}
  - {name: pay, do: "nats://hostile.pay", timeout: 10s}
`

func newHarness(t *testing.T, environ []string) *harness {
	t.Helper()
	addr := natstest.FreeAddr(t)
	h := &harness{T: t, dir: t.TempDir(), url: "nats://" + addr}
	file := filepath.Join(h.dir, "plan.yaml")
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	h.node = startProcess(t, filepath.Join(h.dir, "node.log"), append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "ORDERLY_DATA_DIR=" + filepath.Join(h.dir, "data"), "ORDERLY_NATS_ADDR=" + addr,
		"ORDERLY_PLAN=" + file, "ORDERLY_DURABILITY=relaxed", "ORDERLY_LOG_LEVEL=warn", "ORDERLY_UNKNOWN_AGE=5s",
	}, environ...))
	h.node.ready()
	h.js = natstest.JetStream(t, natstest.Connect(t, h.url))
	h.observer = natstest.Connect(t, h.url)
	h.service = startService(t, natstest.Connect(t, h.url))
	return h
}

const (
	// waiting is the prefix of the ids of orders whose payment is pending until its signal comes.
	waiting = "waiting-"
	// slow is that of orders whose payment takes slowPayment.
	slow        = "slow-"
	slowPayment = 3 * time.Second
)

// service answers the calls of the step pay.
type service struct {
	mu sync.Mutex
	// calls counts the calls of orders whose payment is pending, by id.
	calls map[string]int
}

func startService(t *testing.T, nc *nats.Conn) *service {
	t.Helper()
	s := &service{calls: map[string]int{}}
	_, err := nc.Subscribe("hostile.pay", func(m *nats.Msg) {
		id, _, _ := strings.Cut(m.Header.Get("Idempotency-Key"), "/")
		if strings.HasPrefix(id, slow) {
			time.AfterFunc(slowPayment, func() { _ = m.Respond([]byte(`{"done": {}}`)) })
			return
		}
		answer := `{"done": {}}`
		if strings.HasPrefix(id, waiting) {
			s.mu.Lock()
			s.calls[id]++
			s.mu.Unlock()
			answer = `{"pending": {"signal": "paid"}}`
		}
		if err := m.Respond([]byte(answer)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// callsOf is how often the payment of the order was called.
func (s *service) callsOf(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}
