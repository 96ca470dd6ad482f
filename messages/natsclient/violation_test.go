package natsclient_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestViolations: each watcher learns of each violation until it stops, an error about the subject is explained, and the handler
// of the connection is called and comes back.
func TestViolations(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.NoJetStream, func(o *server.Options) {
		none := &server.SubjectPermission{Deny: []string{"no.>"}}
		o.Users = []*server.User{{Username: "user", Password: "pw", Permissions: &server.Permissions{Publish: none, Subscribe: none}}}
	})
	handled := make(chan error, 10)
	nc := s.Connect(nats.UserInfo("user", "pw"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { handled <- err }))
	one, two := make(chan natsclient.Violation, 10), make(chan natsclient.Violation, 10)
	stopOne := natsclient.WatchViolations(nc, func(v natsclient.Violation) { one <- v })
	stopTwo := natsclient.WatchViolations(nc, func(v natsclient.Violation) { two <- v })

	failed := errors.New("no reply")
	if err := natsclient.Refused(nc, "no.a", failed); err != failed { //nolint:errorlint // unchanged
		t.Errorf("before: %v", err)
	}
	if err := nc.Publish("no.a", nil); err != nil {
		t.Fatal(err)
	}
	for _, violations := range []chan natsclient.Violation{one, two} {
		if v := natstest.Receive(t, violations, "a violation"); v != (natsclient.Violation{Subject: "no.a", Publish: true}) {
			t.Errorf("got %+v", v)
		}
	}
	_ = natstest.Receive(t, handled, "the error handler")
	err := natsclient.Refused(nc, "no.a", failed)
	if !errors.Is(err, natsclient.ErrRefused) || !errors.Is(err, failed) || !strings.Contains(err.Error(), "permit this user to publish to no.a") {
		t.Errorf("got %v", err)
	}
	if err := natsclient.Refused(nc, "no.b", failed); errors.Is(err, natsclient.ErrRefused) {
		t.Errorf("another subject: %v", err)
	}

	stopOne()
	stopOne()
	if _, err := nc.SubscribeSync("no.b"); err != nil {
		t.Fatal(err)
	}
	if v := natstest.Receive(t, two, "a violation"); v != (natsclient.Violation{Subject: "no.b"}) {
		t.Errorf("got %+v", v)
	}
	_ = natstest.Receive(t, handled, "the error handler")
	stopTwo()
	if err := nc.Publish("no.c", nil); err != nil {
		t.Fatal(err)
	}
	_ = natstest.Receive(t, handled, "the error handler, as it was before")
	if len(one)+len(two) > 0 {
		t.Error("a watcher learned of a violation after it stopped")
	}
}
