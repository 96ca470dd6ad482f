package gateway_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// connectNode returns a connection of a user with these permissions, the one of a service with all of them, and a function that
// permits everything to the node.
func connectNode(t *testing.T, permissions *server.Permissions, options ...nats.Option) (node, service *nats.Conn, permit func()) {
	t.Helper()
	var current *server.Options
	s := natstest.Start(t, natstest.NoJetStream, func(o *server.Options) { o.Users, current = users(permissions), o })
	permit = func() {
		changed := current.Clone()
		changed.Users = users(nil)
		if err := s.ReloadOptions(changed); err != nil {
			t.Fatal(err)
		}
	}
	service = s.Connect(nats.UserInfo("service", "secret"))
	return s.Connect(append(options, nats.UserInfo("node", "secret"))...), service, permit
}

func users(node *server.Permissions) []*server.User {
	return []*server.User{{Username: "node", Password: "secret", Permissions: node}, {Username: "service", Password: "secret"}}
}

// longCall is a call that only an event ends.
func longCall(target string) *gateway.Call {
	c := call(target)
	c.Step.Timeout = durationpb.New(time.Hour)
	return c
}

func TestRefusedPublishIsSetup(t *testing.T) {
	reported := make(chan error, 10)
	node, service, _ := connectNode(t, &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"wrap"}}},
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { reported <- err }))
	set := newSet(t, node, gateway.Config{})
	waiting, requests := make(chan callEnd, 1), make(chan *nats.Msg, 1)
	if _, err := service.Subscribe("send", func(m *nats.Msg) { requests <- m }); err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	set.Do(longCall("nats://send"), func(r *messages.StepReply, err error) { waiting <- callEnd{r, err} })
	request := natstest.Receive(t, requests, "the call that is permitted")

	_, err := callAndWait(t, set, longCall("nats://wrap"))
	f := requireFailure(t, err, messages.Setup, "nats://wrap: NATS refuses messages from this node to wrap: permit its user to publish to that subject")
	if f.InDoubt {
		t.Error("a message that was refused is in doubt")
	}
	if err := natstest.Receive(t, reported, "the report to the owner of the connection"); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("the owner got %v", err)
	}
	if err := request.Respond([]byte(`{"done":{}}`)); err != nil {
		t.Fatal(err)
	}
	if end := natstest.Receive(t, waiting, "the end of the other call"); end.err != nil {
		t.Errorf("the call of another subject ended with %v", end.err)
	}
}

func TestRefusedInboxIsSetup(t *testing.T) {
	node, service, permit := connectNode(t, &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}}})
	if _, err := service.Subscribe("wrap", func(m *nats.Msg) { _ = m.Respond([]byte(`{"done":{}}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, node, gateway.Config{})
	for range 3 { // later calls subscribe again
		_, err := callAndWait(t, set, longCall("nats://wrap"))
		f := requireFailure(t, err, messages.Setup, "NATS refuses replies to this node: permit its user to subscribe to _INBOX.")
		if !f.InDoubt {
			t.Error("a call without replies is not in doubt")
		}
	}
	permit()
	natstest.Eventually(t, "a reply once it is permitted", func() bool {
		c := call("nats://wrap")
		_, err := callAndWait(t, set, c)
		return err == nil
	})
}

// The handler of the connection's owner is there again when the last Set is closed, in any order, and has got every error.
func TestErrorHandlerIsRestored(t *testing.T) {
	node, _, _ := connectNode(t, &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"wrap", "own"}}})
	var violations, others atomic.Int32
	node.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			violations.Add(1)
		} else {
			others.Add(1)
		}
	})
	a, b := gateway.New(node, gateway.Config{}), gateway.New(node, gateway.Config{})
	for _, set := range []*gateway.Set{a, b, a} {
		_, err := callAndWait(t, set, longCall("nats://wrap"))
		_ = requireFailure(t, err, messages.Setup)
	}
	a.Close()
	_, err := callAndWait(t, b, longCall("nats://wrap"))
	_ = requireFailure(t, err, messages.Setup)
	b.Close()
	natstest.Eventually(t, "the owner has got every violation", func() bool { return violations.Load() == 4 })
	if node.ErrorHandler()(node, nil, nats.ErrSlowConsumer); others.Load() != 1 {
		t.Errorf("the owner got another error %d times, want once", others.Load())
	}
	a.Close()
	b.Close()
	node.SetErrorHandler(nil)
	c := gateway.New(node, gateway.Config{})
	_, err = callAndWait(t, c, longCall("nats://wrap"))
	_ = requireFailure(t, err, messages.Setup)
	if c.Close(); node.ErrorHandler() != nil {
		t.Error("the connection has an error handler after Close, and had none before")
	}
}

func TestStreamAcknowledgementIsSetup(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream()
	ctx := natstest.Context(t)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "WRAPPING", Subjects: []string{"wrap"}, MaxMsgSize: 1 << 10}); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, js.Conn(), gateway.Config{})
	large := call("nats://wrap")
	large.Request.OrderId = string(make([]byte, 2<<10))
	for name, c := range map[string]struct {
		call  *gateway.Call
		words string
	}{
		"stored": {call("nats://wrap"),
			"nats://wrap: stream WRAPPING stores the messages of subject wrap and acknowledges them in place of the service: take the subject out of the stream"},
		"refused": {large,
			"stream WRAPPING stores the messages of subject wrap, refused this one (message size exceeds maximum allowed) and answered in place of the service: take the subject out of the stream"},
	} {
		_, err := callAndWait(t, set, c.call)
		if f := requireFailure(t, err, messages.Setup, c.words); !f.InDoubt {
			t.Errorf("%s: not in doubt", name)
		}
	}
}
