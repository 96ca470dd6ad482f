package journal_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// wire is a network that can hold back replies and requests.
type wire struct {
	mu      sync.Mutex
	open    *sync.Cond
	held    bool
	clogged bool
	conns   []net.Conn
}

func newWire() *wire {
	w := &wire{}
	w.open = sync.NewCond(&w.mu)
	return w
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return &wired{c, w}, nil
}

// hold keeps back everything the server sends from now on.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
}

func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held, w.clogged = false, false
	w.open.Broadcast()
}

// clog keeps back everything the client sends from now on.
func (w *wire) clog() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clogged = true
}

// cut drops the connections, with everything that was held back.
func (w *wire) cut() {
	w.mu.Lock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.release()
}

type wired struct {
	net.Conn
	w *wire
}

func (c *wired) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for c.w.held {
		c.w.open.Wait()
	}
	if !slices.Contains(c.w.conns, c.Conn) { // cut since
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *wired) Write(b []byte) (int, error) {
	c.w.mu.Lock()
	for c.w.clogged {
		c.w.open.Wait()
	}
	c.w.mu.Unlock()
	return c.Conn.Write(b)
}

// stored waits until the server stores n messages.
func stored(t *testing.T, s *natstest.Server, n uint64) {
	t.Helper()
	natstest.Eventually(t, "the messages are stored", func() bool {
		info, err := s.Jsz(nil)
		return err == nil && info.Messages >= n
	})
}

func TestLostReplyIsAConflict(t *testing.T) {
	losses := map[string]struct {
		timeout    time.Duration
		lose       func(*wire)
		reconnects uint64
	}{
		"time-out":   {100 * time.Millisecond, func(*wire) {}, 0},
		"disconnect": {time.Hour, (*wire).cut, 1},
	}
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
				w := newWire()
				nc := s.Connect(nats.SetCustomDialer(w))
				stream(t, nc, nil)
				cfg.AckTimeout = loss.timeout
				var monitor health.Monitor
				cfg.Health = monitor.Check("journal", 0)
				j := open(t, nc, cfg)
				w.hold()
				const n = 20
				var done [n]<-chan result
				for i := range done {
					done[i] = begin(t, j, order(i), 0, 1)
				}
				// With group commit, the others wait behind the first.
				stored(t, s, 1)
				loss.lose(w)
				natstest.Eventually(t, "the loss makes the node unready", func() bool { return monitor.Err() != nil })
				if cfg.GroupCommit {
					waited := await(t, done[0])
					if !errors.Is(waited.err, journal.ErrConflict) {
						t.Fatalf("got %+v, want a conflict", waited)
					}
					w.release()
				}
				for i := range done {
					if i == 0 && cfg.GroupCommit {
						continue
					}
					if r := await(t, done[i]); !cfg.GroupCommit && !errors.Is(r.err, journal.ErrConflict) {
						t.Fatalf("order %d: got %+v, want a conflict", i, r)
					}
				}
				w.release()
				// Checking IsConnected is not enough: the connection may not have noticed the cut yet.
				natstest.Eventually(t, "the connection is back", func() bool { return nc.Stats().Reconnects >= loss.reconnects && nc.IsConnected() })
				if r := await(t, begin(t, j, order(n), 0, 1)); r.err != nil || monitor.Err() != nil {
					t.Fatalf("append after the loss: %+v, failing: %v", r, monitor.Err())
				}
				// The owner's rule: read again, then append after the last entry.
				if entries := read(t, open(t, nc, journal.Config{}), order(0)); len(entries) != 1 {
					t.Fatalf("read %d entries, want the one whose reply was lost", len(entries))
				}
			})
		})
	}
}

func TestLateReplyFindsNobody(t *testing.T) {
	// On a machine where a released reply takes longer than the time-out, the test is repeated with a longer one.
	for timeout := 300 * time.Millisecond; !lateReply(t, timeout); timeout *= 2 {
		if timeout > natstest.Patience {
			t.Fatalf("no reply arrived within %s", timeout)
		}
	}
}

// lateReply lets the reply to an append that has timed out come while the next append waits for its own. It reports false if
// that append timed out as well.
func lateReply(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	s := natstest.Start(t)
	w := newWire()
	nc := s.Connect(nats.SetCustomDialer(w))
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{AckTimeout: timeout})
	w.hold()
	if r := await(t, begin(t, j, "a", 0, 1)); !errors.Is(r.err, journal.ErrConflict) {
		t.Fatalf("got %+v, want a conflict", r)
	}
	// It reuses the slot of the append whose reply has not arrived.
	done := begin(t, j, "b", 0, 1)
	stored(t, s, 2)
	w.release()
	r := await(t, done)
	if errors.Is(r.err, journal.ErrConflict) {
		return false
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	if got := history(t, js)["b"]; len(got) != 1 || got[0].seq != r.seq {
		t.Fatalf("stored %v, acked %d", got, r.seq)
	}
	return true
}

// TestAppendIsNotCompletedWhileItIsSent: the owner could then overwrite the body that is being sent.
func TestAppendIsNotCompletedWhileItIsSent(t *testing.T) {
	const timeout = 50 * time.Millisecond
	s := natstest.Start(t)
	w := newWire()
	nc := s.Connect(nats.SetCustomDialer(w))
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{AckTimeout: timeout})
	w.clog()
	done := make(chan result, 1)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer w.release()
	sending.Go(func() {
		// More than the client library buffers.
		j.Append(&journal.Append{
			OrderID: "a", Body: make([]byte, 512<<10),
			Done: func(_ *journal.Append, seq uint64, err error) { done <- result{seq, err} },
		})
	})
	select {
	case r := <-done:
		t.Fatalf("completed with %+v", r)
	case <-time.After(10 * timeout):
	}
	w.release()
	if r := await(t, done); r.err != nil && !errors.Is(r.err, journal.ErrConflict) {
		t.Fatalf("got %+v, want it stored or a conflict", r)
	}
}

func TestAppendWhileDisconnectedFailsAtOnce(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		nc := s.Connect()
		stream(t, nc, nil)
		cfg.AckTimeout = time.Hour
		j := open(t, nc, cfg)
		if _, err := put(t, j, "a", 0, 1); err != nil {
			t.Fatal(err)
		}
		s.Stop()
		natstest.Eventually(t, "appends fail at once", func() bool {
			_, err := put(t, j, "b", 0, 1)
			var f *delivery.Failure
			return errors.As(err, &f) && f.Kind == messages.Infrastructure
		})
	})
}

func TestCloseEndsWhatIsPending(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		w := newWire()
		nc := s.Connect(nats.SetCustomDialer(w))
		stream(t, nc, nil)
		j := open(t, nc, cfg)
		w.hold()
		defer w.release()
		var done [10]<-chan result
		done[0] = begin(t, j, order(0), 0, 1)
		stored(t, s, 1)
		// With group commit, these wait behind the first.
		for i := 1; i < len(done); i++ {
			done[i] = begin(t, j, order(i), 0, 1)
		}
		j.Close()
		for i := range done {
			select {
			case r := <-done[i]:
				if !errors.Is(r.err, journal.ErrConflict) && !errors.Is(r.err, journal.ErrClosed) {
					t.Errorf("order %d: got %+v", i, r)
				}
			default:
				t.Errorf("order %d was not completed when Close returned", i)
			}
		}
		if r := await(t, begin(t, j, "late", 0, 1)); !errors.Is(r.err, journal.ErrClosed) {
			t.Errorf("append after Close: %+v", r)
		}
		j.Close()
	})
}

// TestServerDies stops the server during appends and starts it again on the same store and port.
func TestServerDies(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		nc := s.Connect()
		stream(t, nc, nil)
		cfg.AckTimeout = time.Second
		j := open(t, nc, cfg)
		const orders, entries = 50, 40
		var group sync.WaitGroup
		for i := range orders {
			group.Go(func() { insist(t, j, order(i), entries) })
		}
		for i := range 3 {
			stored(t, s, uint64(100*(i+1))) // some appends
			s.Stop()
			s.Start()
		}
		group.Wait()
		// A request that is sent before the connection has noticed would get lost.
		natstest.Eventually(t, "the connection works", func() bool { return nc.FlushTimeout(time.Second) == nil })
		js := stream(t, nc, nil)
		got := history(t, js)
		unbroken(t, got)
		for i := range orders {
			if n := len(got[order(i)]); n != entries {
				t.Errorf("order %d has %d entries, want %d", i, n, entries)
			}
		}
	})
}

// insist appends entries until the order has n, reading again after every error, as its owner must.
func insist(t *testing.T, j *journal.Journal, id messages.OrderID, n int) {
	var have int
	var last uint64
	for end := time.Now().Add(3 * natstest.Patience); have < n; {
		if time.Now().After(end) {
			t.Errorf("order %s has %d entries after %s", id, have, 3*natstest.Patience)
			return
		}
		seq, err := put(t, j, id, last, have+1)
		if err == nil {
			have, last = have+1, seq
			continue
		}
		entries, _, err := j.Read(t.Context(), id)
		if err != nil {
			<-time.After(5 * time.Millisecond)
			continue
		}
		if have, last = len(entries), 0; have > 0 {
			last = entries[have-1].Sequence
		}
	}
}

// TestNotSent: a request that nats.go refuses to send fails as infrastructure, with an error that says what to do.
func TestNotSent(t *testing.T) {
	s := natstest.Start(t)
	nc := s.Connect(nats.ReconnectBufSize(-1))
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{})
	s.Shutdown()
	natstest.Eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
	_, _, read := j.Read(t.Context(), "o-1")
	for what, err := range map[string]error{"read": read, "append": await(t, begin(t, j, "o-1", 0, 1)).err} {
		var failure *delivery.Failure
		if !errors.As(err, &failure) || failure.Kind != messages.Infrastructure || errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s: got %v, want a failure of the infrastructure", what, err)
		} else if text := err.Error(); !strings.Contains(text, "not sent; check that") || strings.Contains(text, "nats:") {
			t.Errorf("%s: %s", what, text)
		}
	}
}
