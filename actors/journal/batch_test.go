package journal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// burst starts n appends at once; the first is published by itself, the others wait for it and become a batch.
func burst(t *testing.T, j *journal.Journal, n int, id func(int) messages.OrderID, expected func(int) uint64) []result {
	t.Helper()
	done := make([]<-chan result, n)
	for i := range n {
		done[i] = begin(t, j, id(i), expected(i), 1)
	}
	results := make([]result, n)
	for i := range done {
		results[i] = await(t, done[i])
	}
	return results
}

func order(i int) messages.OrderID { return messages.OrderID(fmt.Sprintf("o-%d", i)) }

func none(int) uint64 { return 0 }

func TestBatchSequencesAreTheStreams(t *testing.T) {
	nc := natstest.Start(t, natstest.SyncAlways).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{GroupCommit: true, BatchMax: 700})
	results := burst(t, j, 2000, order, none)
	orders := history(t, js)
	batched := 0
	for i, r := range results {
		if r.err != nil {
			t.Fatal(r.err)
		}
		got := orders[order(i)]
		if len(got) != 1 || got[0].seq != r.seq {
			t.Fatalf("order %d: stored %v, acked %d", i, got, r.seq)
		}
		if got[0].batch != "" {
			batched++
		}
	}
	if batched < 1000 {
		t.Fatalf("%d of 2000 appends were batched", batched)
	}
}

func TestConflictInABatchIsOnlyItsOwn(t *testing.T) {
	for _, bad := range []map[int]bool{{1: true}, {50: true}, {199: true}, {7: true, 8: true, 120: true}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			nc := natstest.Start(t, natstest.SyncAlways).Connect()
			js := stream(t, nc, nil)
			j := open(t, nc, journal.Config{GroupCommit: true})
			expected := func(i int) uint64 {
				if bad[i] {
					return 99999
				}
				return 0
			}
			results := burst(t, j, 200, order, expected)
			orders := history(t, js)
			for i, r := range results {
				switch got := orders[order(i)]; {
				case bad[i]:
					if !errors.Is(r.err, journal.ErrConflict) || len(got) != 0 {
						t.Errorf("order %d: stored %v, acked %v, want a conflict", i, got, r.err)
					}
				case r.err != nil || len(got) != 1 || got[0].seq != r.seq:
					t.Errorf("order %d: stored %v, acked %+v", i, got, r)
				}
			}
		})
	}
}

func TestTwoAppendsOfOneOrderInABatch(t *testing.T) {
	nc := natstest.Start(t, natstest.SyncAlways).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{GroupCommit: true})
	// Orders 40 and 41 are the same.
	same := func(i int) messages.OrderID {
		if i == 41 {
			i = 40
		}
		return order(i)
	}
	results := burst(t, j, 100, same, none)
	for i, r := range results {
		if i == 40 || i == 41 {
			continue
		}
		if r.err != nil {
			t.Errorf("order %d: %v", i, r.err)
		}
	}
	a, b := results[40].err, results[41].err
	if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), journal.ErrConflict) {
		t.Errorf("got %v and %v, want one stored and one conflict", a, b)
	}
	if got := history(t, js)[order(40)]; len(got) != 1 {
		t.Errorf("stored %v, want one entry", got)
	}
}

func TestStreamWithoutBatches(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false })
	j := open(t, nc, journal.Config{GroupCommit: true})
	for round := range 2 {
		id := func(i int) messages.OrderID { return order(1000*round + i) }
		for i, r := range burst(t, j, 100, id, none) {
			if r.err != nil {
				t.Fatalf("order %s: %v", id(i), r.err)
			}
		}
	}
	if got := len(history(t, js)); got != 200 {
		t.Fatalf("%d orders stored, want 200", got)
	}
}

func TestBatchLargerThanTheServerTakes(t *testing.T) {
	nc := natstest.Start(t, func(o *server.Options) {
		o.SyncAlways = true
		o.JetStreamLimits.MaxBatchSize = 100
	}).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{GroupCommit: true, BatchMax: 2000})
	results := burst(t, j, 1000, order, none)
	orders := history(t, js)
	batched := 0
	for i, r := range results {
		got := orders[order(i)]
		if r.err != nil || len(got) != 1 || got[0].seq != r.seq {
			t.Fatalf("order %d: stored %v, acked %+v", i, got, r)
		}
		if got[0].batch != "" {
			batched++
		}
	}
	if batched < 500 {
		t.Fatalf("%d of 1000 appends were batched", batched)
	}
}

func TestLargeEntriesAreSplitOverBatches(t *testing.T) {
	nc := natstest.Start(t, natstest.SyncAlways).Connect()
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{GroupCommit: true})
	const n = 30
	done := make([]chan result, n)
	for i := range done {
		done[i] = make(chan result, 1)
		j.Append(&journal.Append{
			OrderID: order(i), Body: make([]byte, 900<<10),
			Done: func(_ *journal.Append, seq uint64, err error) { done[i] <- result{seq, err} },
		})
	}
	for i := range done {
		if r := await(t, done[i]); r.err != nil {
			t.Fatal(r.err)
		}
	}
}
