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

// manual is an index.Manual and the histories it has taken.
type manual struct {
	*index.Manual
	t         *testing.T
	dir       string
	r         *rand.Rand
	sequence  uint64
	histories []*history
	// last is the sequence of each order's last entry.
	last map[string]uint64
}

// hold is longer than any test.
const hold = 24 * time.Hour

func newManual(t *testing.T, r *rand.Rand) *manual {
	t.Helper()
	dir := t.TempDir()
	x, err := index.NewManual(dir, hold)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return &manual{Manual: x, t: t, dir: dir, r: r, last: map[string]uint64{}}
}

// newOrder adds an order without entries. Entries of all orders have the same few times.
func (f *manual) newOrder() *history {
	one := newHistory(f.r, fmt.Sprintf("o-%d", len(f.histories)))
	one.times, one.spacing = 20, time.Minute
	f.histories = append(f.histories, one)
	return one
}

// takeNext takes an order's next entry, if there is one. Every other one is due at once.
func (f *manual) takeNext(one *history) {
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
func (f *manual) take(e *messages.JournalEntry, read time.Time) {
	f.t.Helper()
	if e.GetNumber() > 1 {
		e.Previous = f.last[e.GetOrderId()]
	}
	body, err := journal.Encode(nil, e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.sequence++
	f.last[e.GetOrderId()] = f.sequence
	if err := f.Take(f.sequence, body, read); err != nil {
		f.t.Fatal(err)
	}
}

func (f *manual) write() {
	f.t.Helper()
	if err := f.Write(); err != nil {
		f.t.Fatal(err)
	}
}

// TestNotWrittenYet: answers are the same whether the orders are in the database, only in memory, or in an
// older state in the one than in the other.
func TestNotWrittenYet(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newManual(t, rand.New(rand.NewPCG(seed, 1)))
	for range 8 {
		for range 40 {
			one := f.newOrder()
			if f.r.IntN(3) > 0 {
				one = f.histories[f.r.IntN(len(f.histories))]
			}
			for range 1 + f.r.IntN(3) {
				f.takeNext(one)
			}
		}
		requireIndexed(t, f.Index, f.histories)
		f.compareAges()
		if f.r.IntN(2) == 0 {
			f.write()
			requireIndexed(t, f.Index, f.histories)
		}
	}
}

// compareAges queries by age and for single pages.
func (f *manual) compareAges() {
	f.t.Helper()
	var want []index.Order
	accepted := map[string]uint64{}
	for _, one := range f.histories {
		if len(one.entries) > 0 {
			want = append(want, one.want())
			accepted[one.id] = one.sequences[0]
		}
	}
	slices.SortFunc(want, func(a, b index.Order) int {
		return cmp.Or(b.StatusSince.Compare(a.StatusSince), cmp.Compare(accepted[b.OrderID], accepted[a.OrderID]))
	})
	// No entry is within half a minute of the limit, so that a query may take that long.
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
			for _, o := range listAll(f.t, f.Index, q, size) {
				got = append(got, o.OrderID)
			}
			if !slices.Equal(got, ids) {
				f.t.Fatalf("older %t, pages of %d:\ngot  %s\nwant %s", older, size, strings.Join(got, " "), strings.Join(ids, " "))
			}
		}
	}
}

// TestOutdatedRows: rows behind outdated ones of the database are found, however small the page is.
func TestOutdatedRows(t *testing.T) {
	t.Parallel()
	f := newManual(t, rand.New(rand.NewPCG(1, 2)))
	const orders = 20
	for i := range orders {
		one := f.newOrder()
		f.take(&messages.JournalEntry{
			OrderId: one.id, Number: 1, Time: timestamppb.New(epoch.Add(time.Duration(i) * time.Second)), Events: []*messages.Event{one.accepted()},
		}, time.Now().Add(-hold))
	}
	f.write()
	for i := 1; i < orders; i++ {
		f.take(&messages.JournalEntry{
			OrderId: f.histories[i].id, Number: 2, Time: timestamppb.New(epoch.Add(time.Hour)),
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
		if got := listAll(t, f.Index, q, 1); len(got) != c.want {
			t.Errorf("status %q, reason %q: %d orders, want %d", c.status, c.reason, len(got), c.want)
		}
	}
}

// TestQueriesWhileWriting: an order that was accepted before a query is in its reply once, while other orders are applied
// and written.
func TestQueriesWhileWriting(t *testing.T) {
	t.Parallel()
	f := newManual(t, rand.New(rand.NewPCG(1, 2)))
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
		f.takeNext(f.newOrder())
		accepted.Store(accepted.Load() + int64(len(f.histories[i].entries)))
		f.takeNext(f.histories[f.r.IntN(len(f.histories))])
		f.write()
	}
	close(fed)
	asking.Wait()
}
