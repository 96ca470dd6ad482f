package ingress_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

func planWith(target string, version uint32) *messages.Plan {
	return &messages.Plan{Name: "gift", Version: version, Steps: []*messages.Step{{Name: "wrap", Do: target}}}
}

func register(t *testing.T, js jetstream.JetStream, p *messages.Plan) *messages.Plan {
	t.Helper()
	got, err := ingress.RegisterPlan(within(t), js, p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRegisteredPlanStays(t *testing.T) {
	b, js := ready(t)
	first, other, next := planWith("nats://a", 1), planWith("nats://b", 1), planWith("nats://b", 2)
	for _, c := range []struct{ given, want *messages.Plan }{{first, first}, {first, first}, {other, first}, {next, next}, {first, first}} {
		if got := register(t, js, c.given); !proto.Equal(got, c.want) {
			t.Errorf("registering %s gave %s: want %s", c.given, got, c.want)
		}
	}
	if _, err := js.Publish(within(t), "ORDER_PLAN.gift.1", nil); err == nil || !strings.Contains(err.Error(), "maximum messages per subject exceeded") {
		t.Errorf("a publisher without a fence replaces a plan: %v", err)
	}
	b.stop()
	b.start()
	if got := register(t, jetStream(t, b.connect()), other); !proto.Equal(got, first) {
		t.Errorf("after a restart of the server: %s, want %s", got, first)
	}
}

// race registers another content by each of several nodes at once; all must be told the same one.
func race(t *testing.T, nodes []jetstream.JetStream) {
	t.Helper()
	for version := uint32(1); version <= 10; version++ {
		told := make([]*messages.Plan, len(nodes))
		var wg sync.WaitGroup
		for i, js := range nodes {
			wg.Go(func() {
				var err error
				if told[i], err = ingress.RegisterPlan(within(t), js, planWith(fmt.Sprintf("nats://node-%d", i), version)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, p := range told {
			if !proto.Equal(p, told[0]) {
				t.Fatalf("version %d: one node was told %s and another %s", version, told[0], p)
			}
		}
	}
}

func TestOneOfManyRegistrationsWins(t *testing.T) {
	b, _ := ready(t)
	nodes := make([]jetstream.JetStream, 8)
	for i := range nodes {
		nodes[i] = jetStream(t, b.connect())
	}
	race(t, nodes)
}

func TestOneOfManyRegistrationsWinsOnThreeReplicas(t *testing.T) {
	urls := cluster(t)
	nodes := make([]jetstream.JetStream, 6)
	for i := range nodes {
		nc, err := nats.Connect(urls[i%len(urls)])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		nodes[i] = jetStream(t, nc)
	}
	// In a young cluster a request can be refused, for want of peers, or have no answer, for its leader is another one by now.
	eventually(t, "streams of three replicas", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := ingress.EnsureStreams(ctx, nodes[0], ingress.Streams{Replicas: 3})
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	race(t, nodes)
}

// freePort is a port that stays free while nobody listens there: it is none of those that outgoing connections are given.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(20000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// cluster starts three servers with routes between them and returns their URLs.
func cluster(t *testing.T) []string {
	t.Helper()
	ports, routes := make([]int, 3), make([]string, 3)
	for i := range ports {
		ports[i] = freePort(t)
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	servers, urls := make([]*server.Server, len(ports)), make([]string, len(ports))
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30, ServerName: fmt.Sprintf("s%d", i+1),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port, NoAdvertise: true},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if !s.ReadyForConnections(patience) {
			t.Fatal("a server did not start")
		}
		servers[i], urls[i] = s, s.ClientURL()
	}
	eventually(t, "a leader of three", func() bool {
		return slices.ContainsFunc(servers, func(s *server.Server) bool { return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 })
	})
	return urls
}
