package journal_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/actors/journal"
)

// TestManyOwners runs 64 goroutines over 100 orders, so that owners meet; some have a wrong fence. What the journal told
// them must be what the stream holds.
func TestManyOwners(t *testing.T) {
	modes(t, func(t *testing.T, s *server.Server, cfg journal.Config) {
		nc := dial(t, s)
		js := stream(t, nc, nil)
		j := open(t, nc, cfg)
		const owners, rounds, orders = 64, 20, 50
		var (
			group     sync.WaitGroup
			told      sync.Map // sequence → order
			conflicts atomic.Int64
		)
		for range owners {
			group.Go(func() {
				for range rounds {
					id := order(rand.IntN(orders))
					entries, err := j.Read(t.Context(), id)
					if err != nil {
						t.Error(err)
						return
					}
					var last uint64
					if n := len(entries); n > 0 {
						last = entries[n-1].Sequence
					}
					if rand.IntN(10) == 0 {
						last += 1 << 40
					}
					seq, err := put(t, j, id, last, len(entries)+1)
					switch {
					case errors.Is(err, journal.ErrConflict):
						conflicts.Add(1)
					case err != nil:
						t.Error(err)
					default:
						if other, twice := told.LoadOrStore(seq, id); twice {
							t.Errorf("sequence %d was given to orders %s and %s", seq, other, id)
						}
					}
				}
			})
		}
		group.Wait()
		got := history(t, js)
		unbroken(t, got)
		stored := int64(0)
		for id, entries := range got {
			for _, e := range entries {
				stored++
				if owner, ok := told.Load(e.seq); !ok || owner != id {
					t.Errorf("the entry of order %s at sequence %d was told to %v", id, e.seq, owner)
				}
			}
		}
		if stored+conflicts.Load() != owners*rounds {
			t.Errorf("%d stored and %d conflicts of %d appends", stored, conflicts.Load(), owners*rounds)
		}
	})
}
