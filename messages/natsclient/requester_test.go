package natsclient_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestRepliesReachTheirRequests(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	serve(t, s.Connect(), "echo.*", func(m *nats.Msg) {
		_ = m.Respond(m.Data)
		_ = m.Respond([]byte("again")) // dropped
	})
	r := requester(t, nc, natsclient.Config{Timeout: natstest.Patience})
	var sending sync.WaitGroup
	for i := range 100 {
		sending.Go(func() {
			for n := range 20 {
				h, subject := record(), fmt.Sprintf("echo.%d-%d", i, n)
				r.Send(h, request(nc, subject))
				if m := <-h.replies; string(m.Data) != subject {
					t.Errorf("request %s got reply %s", subject, m.Data)
				}
				if len(h.replies)+len(h.errs) > 0 {
					t.Errorf("request %s ended twice", subject)
				}
			}
		})
	}
	sending.Wait()
}

func TestRequestsEndWithoutReply(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	serve(t, s.Connect(), "silent", func(*nats.Msg) {})
	for name, c := range map[string]struct {
		subject string
		timeout time.Duration
		end     func(*nats.Conn, *natsclient.Requester)
		want    []error
	}{
		"no responders":   {"nobody", 0, nil, []error{nats.ErrNoResponders}},
		"timeout":         {"silent", 20 * time.Millisecond, nil, []error{natsclient.ErrNoReply}},
		"connection lost": {"silent", 0, func(nc *nats.Conn, _ *natsclient.Requester) { _ = nc.ForceReconnect() }, []error{natsclient.ErrNoReply}},
		"closed":          {"silent", 0, func(_ *nats.Conn, r *natsclient.Requester) { r.Close() }, []error{natsclient.ErrNoReply, natsclient.ErrClosed}},
		"not sendable":    {"invalid subject", 0, nil, []error{natsclient.ErrNotSent, nats.ErrBadSubject}},
	} {
		t.Run(name, func(t *testing.T) {
			nc := s.Connect()
			r := requester(t, nc, natsclient.Config{Timeout: c.timeout, FailFast: true})
			h := record()
			r.Send(h, request(nc, c.subject))
			if c.end != nil {
				c.end(nc, r)
			}
			err := natstest.Receive(t, h.errs, "the end of the request")
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if sent := !errors.Is(c.want[0], natsclient.ErrNotSent); sent == errors.Is(err, natsclient.ErrNotSent) {
				t.Errorf("sent is %t, and the error is %v", sent, err)
			}
		})
	}
}

// TestWithoutConnection: FailFast fails requests at once, and the others are sent when there is a connection again.
func TestWithoutConnection(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	fast := requester(t, nc, natsclient.Config{FailFast: true})
	buffered := requester(t, nc, natsclient.Config{})
	s.Stop()
	natstest.Eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
	// The Requester notices it soon after.
	natstest.Eventually(t, "a request fails at once", func() bool {
		h := record()
		fast.Cancel(fast.Send(h, request(nc, "echo")))
		select {
		case err := <-h.errs:
			return errors.Is(err, natsclient.ErrDisconnected) && errors.Is(err, natsclient.ErrNotSent)
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	h := record()
	buffered.Send(h, request(nc, "echo"))
	s.Start()
	natstest.Eventually(t, "the connection is back", nc.IsConnected)
	if err := natstest.Receive(t, h.errs, "the end of the buffered request"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the buffered request ended with %v, want ErrNoResponders", err)
	}
	h = record()
	fast.Send(h, request(nc, "echo"))
	if err := natstest.Receive(t, h.errs, "the end of a request"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a request on the new connection ended with %v, want ErrNoResponders", err)
	}
}

// TestManyReplies: each reply renews the time limit, and the last one ends the request.
func TestManyReplies(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	nc, service := s.Connect(), s.Connect()
	// A busy machine needs a longer limit.
	for timeout := 100 * time.Millisecond; !manyReplies(t, nc, service, timeout); timeout *= 2 {
		if timeout > natstest.Patience {
			t.Fatalf("replies at intervals of half the limit do not arrive within %s", timeout)
		}
	}
}

// manyReplies reports false if the machine was too busy for the time limit.
func manyReplies(t *testing.T, nc, service *nats.Conn, timeout time.Duration) bool {
	t.Helper()
	subject := nats.NewInbox()
	serve(t, service, subject, func(m *nats.Msg) {
		for range 4 {
			<-time.After(timeout / 2)
			_ = m.Respond([]byte("more"))
		}
		_ = m.Respond([]byte("last"))
		_ = m.Respond([]byte("late")) // dropped
	})
	serve(t, service, subject+".cut", func(m *nats.Msg) { _ = m.Respond([]byte("more")) })
	r := requester(t, nc, natsclient.Config{Timeout: timeout})
	h := record()
	r.SendMany(h, request(nc, subject))
	for _, want := range []string{"more", "more", "more", "more", "last"} {
		select {
		case m := <-h.replies:
			if string(m.Data) != want {
				t.Fatalf("got reply %s, want %s", m.Data, want)
			}
		case err := <-h.errs:
			t.Logf("a request of %s ended early: %v", timeout, err)
			return false
		}
	}
	cut := record()
	r.SendMany(cut, request(nc, subject+".cut"))
	if err := natstest.Receive(t, cut.errs, "the end of a request"); !errors.Is(err, natsclient.ErrNoReply) {
		t.Errorf("got %v, want that the last reply is missing", err)
	}
	if len(h.replies)+len(h.errs) > 0 {
		t.Error("the handler was called again after the end")
	}
	return true
}

func TestCancelledRequestIsForgotten(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	requests := make(chan *nats.Msg, 1)
	serve(t, s.Connect(), "later", func(m *nats.Msg) { requests <- m })
	r := requester(t, nc, natsclient.Config{})
	h := record()
	r.Cancel(r.Send(h, request(nc, "later")))
	_ = natstest.Receive(t, requests, "the request").Respond(nil)
	// Replies arrive in order, so that of the cancelled request has been handled when the next one arrives.
	next := record()
	r.Send(next, request(nc, "later"))
	_ = natstest.Receive(t, requests, "the next request").Respond(nil)
	natstest.Receive(t, next.replies, "the next reply")
	if len(h.replies)+len(h.errs) > 0 {
		t.Error("the handler of a cancelled request was called")
	}
}

// TestHandlersAreNotCalledBySenders: Send does not call handlers, so that a caller may hold a lock that its handler takes;
// after Close it does.
func TestHandlersAreNotCalledBySenders(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	r := requester(t, nc, natsclient.Config{})
	h := record()
	h.errs = make(chan error) // its handler waits for the receiver
	r.Send(h, request(nc, "bad subject"))
	if err := natstest.Receive(t, h.errs, "the failure"); !errors.Is(err, natsclient.ErrNotSent) {
		t.Errorf("got %v, want ErrNotSent", err)
	}
	r.Close()
	h = record()
	r.Send(h, request(nc, "late"))
	select {
	case err := <-h.errs:
		if !errors.Is(err, natsclient.ErrClosed) || !errors.Is(err, natsclient.ErrNotSent) {
			t.Errorf("got %v, want ErrClosed and ErrNotSent", err)
		}
	default:
		t.Error("the request had not failed when Send returned")
	}
}

func TestSendErrors(t *testing.T) {
	for _, err := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionDraining} {
		if got := natsclient.SendError(fmt.Errorf("publish: %w", err)); !errors.Is(got, natsclient.ErrDisconnected) {
			t.Errorf("%v became %v, want ErrDisconnected", err, got)
		}
	}
	for _, err := range []error{nats.ErrMaxPayload, nats.ErrBadSubject} {
		if got := natsclient.SendError(err); !errors.Is(got, natsclient.ErrNotSent) || !errors.Is(got, err) {
			t.Errorf("%v became %v, want ErrNotSent", err, got)
		}
	}
	// It may be from an incomplete write.
	if got := natsclient.SendError(nats.ErrTimeout); errors.Is(got, natsclient.ErrNotSent) || !errors.Is(got, nats.ErrTimeout) {
		t.Errorf("a timeout became %v", got)
	}
}
