package index_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
)

// fed is an index that a test feeds by hand, and the histories it was fed.
type fed struct {
	*index.Fed
	t        *testing.T
	dir      string
	r        *rand.Rand
	sequence uint64
	tales    []*tale
}

// hold is longer than any test.
const hold = 24 * time.Hour

func newFed(t *testing.T, r *rand.Rand) *fed {
	t.Helper()
	dir := t.TempDir()
	x, err := index.NewFed(dir, hold)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return &fed{Fed: x, t: t, dir: dir, r: r}
}

// begin adds an order of which nothing is told yet. Much happens to all of them at the same time.
func (f *fed) begin() *tale {
	one := newTale(f.r, fmt.Sprintf("o-%d", len(f.tales)))
	one.moments, one.apart = 20, time.Minute
	f.tales = append(f.tales, one)
	return one
}

// tell takes an order's next entry, if there is one. Every other one may wait no longer if the order is under way.
func (f *fed) tell(one *tale) {
	f.t.Helper()
	e := one.next()
	if e == nil {
		return
	}
	read := time.Now()
	if f.r.IntN(2) == 0 {
		read = read.Add(-hold)
	}
	f.take(e, read)
	one.sequences = append(one.sequences, f.sequence)
}

// take takes an entry that was read at the time.
func (f *fed) take(e *messages.JournalEntry, read time.Time) {
	f.t.Helper()
	body, err := journal.Encode(nil, e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.sequence++
	if err := f.Take(f.sequence, body, read); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fed) write() {
	f.t.Helper()
	if err := f.Write(); err != nil {
		f.t.Fatal(err)
	}
}

// TestNotWrittenYet: answers are the same whatever of the orders is in the database, nowhere but in memory, or in an
// older state in the one than in the other.
func TestNotWrittenYet(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newFed(t, rand.New(rand.NewPCG(seed, 1)))
	for range 8 {
		for range 40 {
			one := f.begin()
			if f.r.IntN(3) > 0 {
				one = f.tales[f.r.IntN(len(f.tales))]
			}
			for range 1 + f.r.IntN(3) {
				f.tell(one)
			}
		}
		compare(t, f.Index, f.tales)
		f.compareAges()
		if f.r.IntN(2) == 0 {
			f.write()
			compare(t, f.Index, f.tales)
		}
	}
}

// compareAges asks by age and for single pages.
func (f *fed) compareAges() {
	f.t.Helper()
	var want []index.Order
	accepted := map[string]uint64{}
	for _, one := range f.tales {
		if len(one.entries) > 0 {
			want = append(want, one.told())
			accepted[one.id] = one.sequences[0]
		}
	}
	slices.SortFunc(want, func(a, b index.Order) int {
		return cmp.Or(b.StatusSince.Compare(a.StatusSince), cmp.Compare(accepted[b.OrderID], accepted[a.OrderID]))
	})
	// Nothing happens within half a minute of the border: that much a question may take.
	border := epoch.Add(10*time.Minute + time.Minute/2)
	for _, older := range []bool{true, false} {
		var ids []string
		for _, o := range want {
			if o.StatusSince.Before(border) == older {
				ids = append(ids, o.OrderID)
			}
		}
		for _, size := range []int{1, 3, 50, 1000} {
			q := index.Query{Newer: index.Duration(time.Since(border))}
			if older {
				q = index.Query{Older: index.Duration(time.Since(border))}
			}
			var got []string
			for _, o := range all(f.t, f.Index, q, size) {
				got = append(got, o.OrderID)
			}
			if !slices.Equal(got, ids) {
				f.t.Fatalf("older %t, pages of %d:\ngot  %s\nwant %s", older, size, strings.Join(got, " "), strings.Join(ids, " "))
			}
		}
	}
}

// TestMovedAway: what lies behind rows of orders that are somewhere else by now is found, however few are asked for.
func TestMovedAway(t *testing.T) {
	t.Parallel()
	f := newFed(t, rand.New(rand.NewPCG(1, 2)))
	const orders = 20
	for i := range orders {
		one := f.begin()
		f.take(&messages.JournalEntry{
			OrderId: one.id, Number: 1, Time: timestamppb.New(epoch.Add(time.Duration(i) * time.Second)), Events: []*messages.Event{one.accepted()},
		}, time.Now().Add(-hold))
	}
	f.write()
	for i := 1; i < orders; i++ {
		f.take(&messages.JournalEntry{
			OrderId: f.tales[i].id, Number: 2, Time: timestamppb.New(epoch.Add(time.Hour)),
			Events: []*messages.Event{{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{Cause: "Nobody ANSWERS"}}}},
		}, time.Now())
	}
	for _, c := range []struct {
		status, reason string
		want           int
	}{
		{"running", "", 1}, {"attention", "", orders - 1}, {"", "nobody answers", orders - 1}, {"attention", "Nobody answered", 0}, {"", "", orders},
	} {
		q := index.Query{Reason: c.reason}
		if c.status != "" {
			q.Status = []string{c.status}
		}
		if got := all(t, f.Index, q, 1); len(got) != c.want {
			t.Errorf("status %q, reason %q: %d orders, want %d", c.status, c.reason, len(got), c.want)
		}
	}
}

// TestAnswersWhileWriting: an order that was accepted before a question is in its answer once, whatever is taken, written
// and read at the same time.
func TestAnswersWhileWriting(t *testing.T) {
	t.Parallel()
	f := newFed(t, rand.New(rand.NewPCG(1, 2)))
	var accepted atomic.Int64
	var asking sync.WaitGroup
	fed := make(chan struct{})
	for range 2 {
		asking.Go(func() {
			for last := false; !last; {
				select {
				case <-fed:
					last = true
				default:
				}
				known := accepted.Load()
				page, err := f.List(t.Context(), index.Query{Limit: index.MaxLimit})
				if err != nil {
					t.Error(err)
					return
				}
				ids := map[string]bool{}
				for _, o := range page.Orders {
					ids[o.OrderID] = true
				}
				if int64(len(ids)) < known || len(ids) != len(page.Orders) {
					t.Errorf("%d orders were accepted, and %d of %d in the answer are different ones", known, len(ids), len(page.Orders))
					return
				}
			}
		})
	}
	for i := range index.MaxLimit / 2 {
		f.tell(f.begin())
		accepted.Store(accepted.Load() + int64(len(f.tales[i].entries)))
		f.tell(f.tales[f.r.IntN(len(f.tales))])
		f.write()
	}
	close(fed)
	asking.Wait()
}
