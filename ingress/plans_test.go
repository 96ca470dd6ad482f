package ingress_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func planWith(target string, version uint32) *messages.Plan {
	return &messages.Plan{Name: "gift", Version: version, Steps: []*messages.Step{{Name: "wrap", Do: target}}}
}

func register(t *testing.T, js jetstream.JetStream, p *messages.Plan) *messages.Plan {
	t.Helper()
	got, err := ingress.RegisterPlan(natstest.Context(t), js, p, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRegisteredPlanIsNotReplaced(t *testing.T) {
	s, js := startServer(t)
	first, other, next := planWith("nats://a", 1), planWith("nats://b", 1), planWith("nats://b", 2)
	for _, c := range []struct{ given, want *messages.Plan }{{first, first}, {first, first}, {other, first}, {next, next}, {first, first}} {
		if got := register(t, js, c.given); !proto.Equal(got, c.want) {
			t.Errorf("registering %s gave %s: want %s", c.given, got, c.want)
		}
	}
	if _, err := js.Publish(natstest.Context(t), "ORDER_PLAN.gift.1", nil); err == nil || !strings.Contains(err.Error(), "maximum messages per subject exceeded") {
		t.Errorf("a publish without an expected sequence replaces a plan: %v", err)
	}
	s.Stop()
	s.Start()
	if got := register(t, s.JetStream(), other); !proto.Equal(got, first) {
		t.Errorf("after a server restart: %s, want %s", got, first)
	}
}

// registerAtOnce registers another content by each of several nodes at once; all must get the same one.
func registerAtOnce(t *testing.T, nodes []jetstream.JetStream) {
	t.Helper()
	for version := uint32(1); version <= 10; version++ {
		got := make([]*messages.Plan, len(nodes))
		var wg sync.WaitGroup
		for i, js := range nodes {
			wg.Go(func() {
				var err error
				if got[i], err = ingress.RegisterPlan(natstest.Context(t), js, planWith(fmt.Sprintf("nats://node-%d", i), version), discardLog()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, p := range got {
			if !proto.Equal(p, got[0]) {
				t.Fatalf("version %d: one node got %s and another %s", version, got[0], p)
			}
		}
	}
}

func TestFirstOfManyRegistrationsWins(t *testing.T) {
	s, _ := startServer(t)
	nodes := make([]jetstream.JetStream, 8)
	for i := range nodes {
		nodes[i] = s.JetStream()
	}
	registerAtOnce(t, nodes)
}

func TestFirstOfManyRegistrationsWinsOnThreeReplicas(t *testing.T) {
	servers := natstest.Cluster(t)
	nodes := make([]jetstream.JetStream, 6)
	for i := range nodes {
		nodes[i] = servers[i%len(servers)].JetStream()
	}
	// A young cluster may refuse a request for lack of peers, or not answer it because the leader changes.
	natstest.Eventually(t, "streams of three replicas", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := ingress.EnsureStreams(ctx, nodes[0], ingress.Streams{Replicas: 3})
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	registerAtOnce(t, nodes)
}

// TestForeignMessageInPlaceOfAPlan: what a plan's subject stores and no node stored is no plan: it hides no other version, and the
// node that registers the plan removes it.
func TestForeignMessageInPlaceOfAPlan(t *testing.T) {
	_, js := startServer(t)
	first := register(t, js, planWith("nats://a", 1))
	other, err := proto.Marshal(planWith("nats://a", 7))
	if err != nil {
		t.Fatal(err)
	}
	for version, m := range map[uint32]*nats.Msg{
		2: {Data: []byte(`{"stream":"ORDERS","seq":17}`)},
		3: {Header: nats.Header{messages.HeaderContentType: {"application/protobuf"}}, Data: []byte{0xff}},
		4: {Header: nats.Header{messages.HeaderContentType: {"application/protobuf"}}, Data: other},
		5: {},
	} {
		m.Subject = fmt.Sprintf("ORDER_PLAN.gift.%d", version)
		if _, err := js.PublishMsg(natstest.Context(t), m); err != nil {
			t.Fatal(err)
		}
		newest, err := ingress.RegisteredPlan(natstest.Context(t), js, "gift", 0)
		if err != nil || !proto.Equal(newest, first) {
			t.Fatalf("newest plan %s, %v; want %s", newest, err, first)
		}
		if p, err := ingress.RegisteredPlan(natstest.Context(t), js, "gift", version); err != nil || p != nil {
			t.Fatalf("plan %s, %v; want none", p, err)
		}
	}
	for version := uint32(2); version <= 5; version++ {
		want := planWith("nats://b", version)
		if got := register(t, js, want); !proto.Equal(got, want) {
			t.Errorf("registered %s, want %s", got, want)
		}
		if got := register(t, js, planWith("nats://c", version)); !proto.Equal(got, want) {
			t.Errorf("then %s, want %s", got, want)
		}
	}
}
