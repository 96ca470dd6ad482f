package natsclient_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// recorder is a Handler that sends replies and errors to channels.
type recorder struct {
	replies chan *nats.Msg
	errs    chan error
}

func record() *recorder { return &recorder{make(chan *nats.Msg, 10), make(chan error, 10)} }

func (r *recorder) Reply(m *nats.Msg) bool {
	r.replies <- m
	return string(m.Data) == "last"
}

func (r *recorder) Fail(err error) { r.errs <- err }

// requester returns a Requester that the test closes.
func requester(t *testing.T, nc *nats.Conn, cfg natsclient.Config) *natsclient.Requester {
	t.Helper()
	r, err := natsclient.NewRequester(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// request publishes a request on a subject.
func request(nc *nats.Conn, subject string) func(natsclient.ReplyTo) error {
	return func(to natsclient.ReplyTo) error { return nc.PublishRequest(subject, to.String(), []byte(subject)) }
}

// serve answers requests, from a connection of its own.
func serve(t *testing.T, nc *nats.Conn, subject string, reply func(*nats.Msg)) {
	t.Helper()
	if _, err := nc.Subscribe(subject, reply); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}
