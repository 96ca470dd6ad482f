package journal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

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

// cluster starts three servers with routes between them.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes string
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = freePort(t)
		routes += fmt.Sprintf(",nats://127.0.0.1:%d", ports[i])
	}
	servers := make([]*server.Server, 3)
	var group sync.WaitGroup
	for i := range servers {
		dir := t.TempDir()
		group.Go(func() {
			servers[i] = broker(t, dir, func(o *server.Options) {
				o.ServerName = fmt.Sprintf("s%d", i+1)
				o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i], NoAdvertise: true}
				o.Routes = server.RoutesFromStr(routes[1:])
			})
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	eventually(t, func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 {
				return true
			}
		}
		return false
	})
	return servers
}

func TestThreeReplicas(t *testing.T) {
	servers := cluster(t)
	nc := dial(t, servers[0])
	js := stream(t, nc, func(c *jetstream.StreamConfig) { c.Replicas = 3 })
	// In a cluster nobody is alone, whatever a node was told.
	asked := spy(t, dial(t, servers[1]))
	for _, cfg := range []journal.Config{{}, {GroupCommit: true, SingleServer: true}} {
		t.Run(fmt.Sprintf("group commit %t", cfg.GroupCommit), func(t *testing.T) {
			// Each journal is on another server, as nodes are.
			journals := []*journal.Journal{
				open(t, dial(t, servers[0]), cfg), open(t, dial(t, servers[1]), cfg), open(t, dial(t, servers[2]), cfg),
			}
			name := func(i int) messages.OrderID {
				return messages.OrderID(fmt.Sprintf("o-%t-%d", cfg.GroupCommit, i))
			}
			const orders, entries = 40, 8
			var group sync.WaitGroup
			for i := range orders {
				// Three owners of each order: exactly one wins each entry, and the losers read on.
				for _, j := range journals {
					group.Go(func() { insist(t, j, name(i), entries) })
				}
			}
			group.Wait()
			got := history(t, js)
			unbroken(t, got)
			before := asked.leader.Load()
			for i := range orders {
				if n := len(got[name(i)]); n != entries {
					t.Errorf("order %s has %d entries, want %d", name(i), n, entries)
				}
				for _, j := range journals {
					if n := len(read(t, j, name(i))); n != entries {
						t.Errorf("read %d entries of order %s, want %d", n, name(i), entries)
					}
				}
			}
			eventually(t, func() bool { return asked.leader.Load() >= before+orders*int32(len(journals)) })
			// Of several appends in flight behind the same fence exactly one is stored.
			for i := range 20 {
				id := messages.OrderID(fmt.Sprintf("race-%t-%d", cfg.GroupCommit, i))
				var done []<-chan result
				for _, j := range journals {
					done = append(done, begin(t, j, id, 0, 1), begin(t, j, id, 0, 1))
				}
				won := 0
				for _, d := range done {
					switch r := await(t, d); {
					case r.err == nil:
						won++
					case !errors.Is(r.err, journal.ErrConflict):
						t.Error(r.err)
					}
				}
				if won != 1 {
					t.Errorf("order %s: %d appends won", id, won)
				}
			}
			batches(t, journals[0], js, cfg)
		})
	}
	t.Run("leader dies", func(t *testing.T) { leaderDies(t, servers, js) })
}

// batches checks the sequences of one burst.
func batches(t *testing.T, j *journal.Journal, js jetstream.JetStream, cfg journal.Config) {
	id := func(i int) messages.OrderID {
		return messages.OrderID(fmt.Sprintf("burst-%t-%d", cfg.GroupCommit, i))
	}
	results := burst(t, j, 500, id, none)
	got := history(t, js)
	batched := 0
	for i, r := range results {
		h := got[id(i)]
		if r.err != nil || len(h) != 1 || h[0].seq != r.seq {
			t.Fatalf("order %s: stored %v, told %+v", id(i), h, r)
		}
		if h[0].batch != "" {
			batched++
		}
	}
	if cfg.GroupCommit && batched < 250 {
		t.Errorf("%d of 500 appends came in batches", batched)
	}
}

// leaderDies shuts the stream's leader down under appends.
func leaderDies(t *testing.T, servers []*server.Server, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	leader := s.CachedInfo().Cluster.Leader
	var alive []*server.Server
	var dead *server.Server
	for _, s := range servers {
		if s.Name() == leader {
			dead = s
		} else {
			alive = append(alive, s)
		}
	}
	strict := open(t, dial(t, alive[0]), journal.Config{GroupCommit: true, AckTimeout: time.Second})
	relaxed := open(t, dial(t, alive[1]), journal.Config{AckTimeout: time.Second})
	const orders, entries = 20, 30
	id := func(i int) messages.OrderID { return messages.OrderID(fmt.Sprintf("survivor-%d", i)) }
	var group sync.WaitGroup
	for i := range orders {
		j := strict
		if i%2 == 0 {
			j = relaxed
		}
		group.Go(func() { insist(t, j, id(i), entries) })
	}
	time.Sleep(30 * time.Millisecond) // some appends, at no particular moment
	stop(dead)
	group.Wait()
	nc := dial(t, alive[0])
	survivor, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	// The appends go on under the stream's new leader; consumers need the cluster's as well.
	eventually(t, func() bool {
		_, noStream := survivor.Stream(t.Context(), messages.StreamEvents)
		_, noLeader := survivor.AccountInfo(t.Context())
		return noStream == nil && noLeader == nil
	})
	got := history(t, survivor)
	unbroken(t, got)
	for i := range orders {
		if n := len(got[id(i)]); n != entries {
			t.Errorf("order %s has %d entries, want %d", id(i), n, entries)
		}
	}
}
