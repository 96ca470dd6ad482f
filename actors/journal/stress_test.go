package journal_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestManyOwners runs 64 goroutines over 100 orders, so that appends conflict; some have a wrong fence. The
// sequences they got must be those of the stream.
func TestManyOwners(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		nc := s.Connect()
		js := stream(t, nc, nil)
		j := open(t, nc, cfg)
		const owners, rounds, orders = 64, 20, 50
		var (
			group     sync.WaitGroup
			acked     sync.Map // sequence → order
			conflicts atomic.Int64
		)
		for range owners {
			group.Go(func() {
				for range rounds {
					id := order(rand.IntN(orders))
					entries, _, err := j.Read(t.Context(), id)
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
						if other, twice := acked.LoadOrStore(seq, id); twice {
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
				if owner, ok := acked.Load(e.seq); !ok || owner != id {
					t.Errorf("the entry of order %s at sequence %d was acked to the owner of %v", id, e.seq, owner)
				}
			}
		}
		if stored+conflicts.Load() != owners*rounds {
			t.Errorf("%d stored and %d conflicts of %d appends", stored, conflicts.Load(), owners*rounds)
		}
	})
}
