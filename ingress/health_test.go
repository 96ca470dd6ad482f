package ingress_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func waitFailing(t *testing.T, m *health.Monitor, reasons ...string) {
	t.Helper()
	natstest.Eventually(t, strings.Join(reasons, ", ")+" in the reasons", func() bool {
		err := m.Err()
		for _, reason := range reasons {
			if err == nil || !strings.Contains(err.Error(), reason) {
				return false
			}
		}
		return true
	})
}

// A client without the right to pull gets no answer at all.
func TestUnservedConsumersFail(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}, {Username: "node", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.MSG.NEXT.>"}},
		}}}
	})
	ensureStreams(t, natstest.JetStream(t, s.Connect(nats.UserInfo("admin", "p"))), testAckWait)
	var m health.Monitor
	startInbox(t, natstest.JetStream(t, s.Connect(nats.UserInfo("node", "p"))), ingress.Config{Health: &m})
	if err := m.Err(); err != nil {
		t.Errorf("fails from the start: %v", err)
	}
	waitFailing(t, &m, "messages about orders: the server does not answer", "wake-ups: the server does not answer")
}

func TestServedConsumersAreHealthy(t *testing.T) {
	t.Parallel()
	s, js := startServer(t)
	var m health.Monitor
	startInbox(t, js, ingress.Config{Health: &m})
	s.Stop()
	s.Start()
	waitReconnected(t, js.Conn(), 1)
	natstest.Eventually(t, "no failure after a restart of the server", func() bool { return m.Err() == nil })
}

// deleteStream deletes a stream and returns what creates it again.
func deleteStream(t *testing.T, js jetstream.JetStream, name string) (restore func()) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := js.CreateStream(t.Context(), stream.CachedInfo().Config); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnstorableTimersFail(t *testing.T) {
	t.Parallel()
	_, js := startServer(t)
	var m health.Monitor
	timers := ingress.NewTimers(js, m.Check("timers", 0))
	timer := messages.Timer{OrderID: "o", Park: 1, At: time.Now().Add(time.Hour)}
	restore := deleteStream(t, js, messages.StreamTimers)
	if err := timers.Schedule(natstest.Context(t), timer); err == nil {
		t.Error("a timer without a stream is scheduled")
	}
	waitFailing(t, &m, "timers: no stream takes the message")
	restore()
	if err := timers.Schedule(natstest.Context(t), timer); err != nil || m.Err() != nil {
		t.Errorf("with the stream: %v, %v", err, m.Err())
	}
}

func TestUnstorableDeadLettersFail(t *testing.T) {
	t.Parallel()
	_, js := startServer(t)
	var m health.Monitor
	restore := deleteStream(t, js, messages.StreamDead)
	startInbox(t, js, ingress.Config{Health: &m})
	if _, err := js.Publish(t.Context(), messages.SubjectOrder+"o", []byte("neither JSON nor protobuf")); err != nil {
		t.Fatal(err)
	}
	waitFailing(t, &m, "dead letters: publish: no stream takes the message")
	restore()
	waitEmpty(t, js, messages.StreamOrders)
	natstest.Eventually(t, "no failure", func() bool { return m.Err() == nil })
}
