package natstest_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

func TestRestartKeepsPortAndStore(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.SyncAlways)
	js := s.JetStream()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	url := s.ClientURL()
	s.Stop()
	natstest.Eventually(t, "the connection is lost", func() bool { return !js.Conn().IsConnected() })
	s.Start()
	natstest.Eventually(t, "the connection is back", js.Conn().IsConnected)
	stream, err := js.Stream(natstest.Context(t), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 || s.ClientURL() != url {
		t.Errorf("%d messages at %s, want 1 at %s", n, s.ClientURL(), url)
	}
}

func TestClusterStoresThreeReplicas(t *testing.T) {
	t.Parallel()
	servers := natstest.Cluster(t)
	js := servers[0].JetStream()
	natstest.Eventually(t, "a stream of three replicas", func() bool {
		_, err := js.CreateStream(natstest.Context(t), jetstream.StreamConfig{Name: "S", Replicas: 3})
		return err == nil
	})
	stream, err := servers[1].JetStream().Stream(natstest.Context(t), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(stream.CachedInfo().Cluster.Replicas); n != 2 {
		t.Errorf("the leader has %d followers, want 2", n)
	}
}

func TestBlackholeKeepsTheConnectionAndDropsReplies(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.NoJetStream)
	b := natstest.NewBlackhole()
	nc := s.Connect(nats.SetCustomDialer(b))
	if _, err := s.Connect().Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "a reply", func() bool {
		_, err := nc.Request("echo", nil, natstest.Patience)
		return err == nil
	})
	b.Swallow()
	if _, err := nc.Request("echo", nil, 20*time.Millisecond); !errors.Is(err, nats.ErrTimeout) || !nc.IsConnected() {
		t.Errorf("connected %t, error %v: want a timeout on an open connection", nc.IsConnected(), err)
	}
}

func TestFreeAddrCanBeListenedOn(t *testing.T) {
	l, err := net.Listen("tcp", natstest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
