package journal_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// storeHistory stores n entries of order a with data of that size, and a checkpoint in each that every divides (0: none).
func storeHistory(t *testing.T, js jetstream.JetStream, n, size, every int) {
	t.Helper()
	var first, last uint64
	for i := 1; i <= n; i++ {
		e := entry("a", i)
		e.Previous = last
		e.Events[0].GetStepCompleted().Data = strings.Repeat("1", size)
		if every > 0 && i > 1 && i%every == 0 {
			e.Checkpoint = &messages.Checkpoint{Version: messages.CheckpointVersion, First: first}
		}
		body, err := journal.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if last = store(t, js, "a", body, last); i == 1 {
			first = last
		}
	}
}

// TestReadInPagesKeepsNoMoreThanItReturns: the entries before a checkpoint are let go as soon as that is read, also of a history
// that has more bytes than may be read.
func TestReadInPagesKeepsNoMoreThanItReturns(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{SingleServer: true})
	const n, size, every = 150, 250_000, 8
	storeHistory(t, js, n, size, every)
	foreign(t, js, nats.Msg{}) // so that it is read in pages
	if got, want := numbersOf(read(t, j, "a")), append(numbers(1, 1), numbers(n-n%every, n)...); !slices.Equal(got, want) {
		t.Errorf("read entries %d, want %d", got, want)
	}
	if _, err := j.History(natstest.Context(t), "a"); !isTooLarge(err) {
		t.Errorf("the whole history: %v", err)
	}
}

// TestHistoryIsBounded: an order with too large a history is a defect of that order, not of the journal.
func TestHistoryIsBounded(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{SingleServer: true})
	storeHistory(t, js, 150, 250_000, 0)
	if _, err := j.History(natstest.Context(t), "a"); !isTooLarge(err) {
		t.Errorf("history: %v", err)
	}
	if _, _, err := j.Read(natstest.Context(t), "a"); !isTooLarge(err) {
		t.Errorf("read: %v", err)
	}
}

func isTooLarge(err error) bool {
	var f *delivery.Failure
	return errors.As(err, &f) && f.Kind == messages.Defect && strings.Contains(err.Error(), "more than 33554432 bytes")
}
