package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestReadReturnsTheWholeOrder(t *testing.T) {
	nc := natstest.Start(t).Connect()
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{})
	for _, n := range []int{0, 1, 2500} {
		id := messages.OrderID(fmt.Sprintf("o-%d", n))
		var last uint64
		for i := range n {
			seq, err := put(t, j, id, last, i+1)
			if err != nil {
				t.Fatal(err)
			}
			last = seq
		}
		entries := read(t, j, id)
		if len(entries) != n {
			t.Fatalf("read %d entries, want %d", len(entries), n)
		}
		for i, e := range entries {
			if e.Entry.GetNumber() != uint32(i+1) || e.Entry.GetOrderId() != string(id) {
				t.Fatalf("entry %d is number %d of order %s", i+1, e.Entry.GetNumber(), e.Entry.GetOrderId())
			}
		}
		if n > 0 && entries[n-1].Sequence != last {
			t.Fatalf("last sequence %d, want %d", entries[n-1].Sequence, last)
		}
		e, found, err := j.Last(t.Context(), id)
		if err != nil || found != (n > 0) || e.Sequence != last {
			t.Fatalf("last entry: %d, %t, %v; want sequence %d", e.Sequence, found, err, last)
		}
	}
}

func TestReadSeesWhatWasAppended(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		nc := s.Connect()
		stream(t, nc, nil)
		j := open(t, nc, cfg)
		var last uint64
		for i := range 20 {
			seq, err := put(t, j, "a", last, i+1)
			if err != nil {
				t.Fatal(err)
			}
			last = seq
			if entries := read(t, j, "a"); len(entries) != i+1 || entries[i].Sequence != seq {
				t.Fatalf("read %d entries after %d appends", len(entries), i+1)
			}
		}
	})
}

func TestReadFailsInTime(t *testing.T) {
	nc := natstest.Start(t).Connect()
	j := open(t, nc, journal.Config{})
	_, _, err := j.Read(t.Context(), "a")
	var f *delivery.Failure
	if !errors.As(err, &f) || f.Kind != messages.Infrastructure {
		t.Errorf("without a stream: got %v, want an infrastructure failure", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := j.Read(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}

func TestScanReadsEverythingOnce(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{})
	if got := scan(t, js); len(got) != 0 {
		t.Fatalf("an empty journal has %d entries", len(got))
	}
	const orders, each = 700, 5
	var group sync.WaitGroup
	for i := range orders {
		group.Add(1)
		c := &chain{j: j, n: each, bytes: body(t, order(i), 1), group: &group, finished: func() {}}
		c.OrderID, c.Kinds = order(i), "step_completed"
		c.next()
	}
	group.Wait()
	got := scan(t, js)
	if len(got) != orders*each {
		t.Fatalf("scanned %d entries, want %d", len(got), orders*each)
	}
	for i := range got {
		if got[i].Sequence != uint64(i+1) {
			t.Fatalf("entry %d has sequence %d", i, got[i].Sequence)
		}
		if since := time.Since(got[i].Time); since < -time.Minute || since > time.Minute {
			t.Fatalf("entry %d was stored at %s", i, got[i].Time)
		}
	}

	// Deleted messages, also at the end, are skipped.
	s, err := js.Stream(t.Context(), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{1, 1000, orders*each - 1, orders * each} {
		if err := s.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if got := scan(t, js); len(got) != orders*each-4 {
		t.Fatalf("scanned %d entries, want %d", len(got), orders*each-4)
	}

	enough := errors.New("enough")
	n := 0
	err = journal.Scan(t.Context(), js, func(journal.Entry) error {
		if n++; n == 10 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 10 {
		t.Fatalf("stopped after %d entries with %v", n, err)
	}
}
