package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestThreeReplicas(t *testing.T) {
	servers := natstest.Cluster(t)
	nc := servers[0].Connect()
	js := stream(t, nc, func(c *jetstream.StreamConfig) { c.Replicas = 3 })
	// In a cluster, Config.SingleServer has no effect.
	asked := spy(t, servers[1].Connect())
	for _, cfg := range []journal.Config{{}, {GroupCommit: true, SingleServer: true}} {
		t.Run(fmt.Sprintf("group commit %t", cfg.GroupCommit), func(t *testing.T) {
			// Each journal is on another server, as nodes are.
			journals := []*journal.Journal{
				open(t, servers[0].Connect(), cfg), open(t, servers[1].Connect(), cfg), open(t, servers[2].Connect(), cfg),
			}
			name := func(i int) messages.OrderID {
				return messages.OrderID(fmt.Sprintf("o-%t-%d", cfg.GroupCommit, i))
			}
			const orders, entries = 40, 8
			var group sync.WaitGroup
			for i := range orders {
				// Three owners per order: exactly one stores each entry, and the others read again.
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
			natstest.Eventually(t, "the leader is asked once for each read", func() bool { return asked.leader.Load() >= before+orders*int32(len(journals)) })
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
			t.Fatalf("order %s: stored %v, acked %+v", id(i), h, r)
		}
		if h[0].batch != "" {
			batched++
		}
	}
	if cfg.GroupCommit && batched < 250 {
		t.Errorf("%d of 500 appends were batched", batched)
	}
}

// leaderDies shuts the stream's leader down during appends.
func leaderDies(t *testing.T, servers []*natstest.Server, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	s, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	leader := s.CachedInfo().Cluster.Leader
	var alive []*natstest.Server
	var dead *natstest.Server
	for _, s := range servers {
		if s.Name() == leader {
			dead = s
		} else {
			alive = append(alive, s)
		}
	}
	strict := open(t, alive[0].Connect(), journal.Config{GroupCommit: true, AckTimeout: time.Second})
	relaxed := open(t, alive[1].Connect(), journal.Config{AckTimeout: time.Second})
	const orders, entries = 20, 30
	id := func(i int) messages.OrderID { return messages.OrderID(fmt.Sprintf("survivor-%d", i)) }
	before := s.CachedInfo().State.Msgs
	var group sync.WaitGroup
	for i := range orders {
		j := strict
		if i%2 == 0 {
			j = relaxed
		}
		group.Go(func() { insist(t, j, id(i), entries) })
	}
	stored(t, dead, before+50) // some appends
	dead.Stop()
	group.Wait()
	nc := alive[0].Connect()
	survivor, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	// The appends continue with the stream's new leader; creating consumers also needs a leader of the cluster.
	natstest.Eventually(t, "the stream and the cluster have leaders", func() bool {
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
