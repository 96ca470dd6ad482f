package journaltest_test

import (
	"errors"
	"testing"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
)

func entry(t *testing.T, expected uint64, e *messages.JournalEntry) *journal.Append {
	t.Helper()
	e.OrderId = "o-1"
	e.Events = []*messages.Event{{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}}
	body, err := journal.Encode(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Append{OrderID: "o-1", Expected: expected, Body: body}
}

func TestAppendIsFenced(t *testing.T) {
	var j journaltest.Journal
	first, err := j.Append(entry(t, 0, &messages.JournalEntry{Number: 1}))
	if err != nil {
		t.Fatal(err)
	}
	for _, expected := range []uint64{0, first + 1} {
		if _, err := j.Append(entry(t, expected, &messages.JournalEntry{Number: 2})); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("after %d, with %d expected: got %v, want %v", first, expected, err, journal.ErrConflict)
		}
	}
	if _, err := j.Append(entry(t, first, &messages.JournalEntry{Number: 2})); err != nil || len(j.History("o-1")) != 2 || len(j.History("o-2")) != 0 {
		t.Errorf("got %v and %d entries, want 2", err, len(j.History("o-1")))
	}
}

func TestReadBeginsAtTheLatestCheckpoint(t *testing.T) {
	var j journaltest.Journal
	var last uint64
	for n := uint32(1); n <= 6; n++ {
		e := &messages.JournalEntry{Number: n}
		if n == 2 || n == 4 {
			e.Checkpoint = &messages.Checkpoint{Version: messages.CheckpointVersion, First: 1}
		}
		var err error
		if last, err = j.Append(entry(t, last, e)); err != nil {
			t.Fatal(err)
		}
	}
	j.StoreForeign("o-1")
	entries, fence := j.Read("o-1")
	if fence != last+1 {
		t.Errorf("fence %d, want that of the foreign message, %d", fence, last+1)
	}
	var numbers []uint32
	for _, e := range entries {
		numbers = append(numbers, e.Entry.GetNumber())
	}
	if len(numbers) != 4 || numbers[0] != 1 || numbers[1] != 4 || numbers[3] != 6 {
		t.Errorf("got entries %v, want 1 and those from 4 on", numbers)
	}
}
