// Package journaltest has a journal in memory, for tests.
package journaltest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// Journal keeps entries in memory, behind the same fence as JetStream. The zero value is empty. It is safe for concurrent
// use.
type Journal struct {
	mu       sync.Mutex
	sequence uint64
	entries  map[messages.OrderID][]journal.Entry
	// foreign are the sequences of the last messages on orders' subjects that are no entries.
	foreign map[messages.OrderID]uint64
}

// Append stores the entry and returns its sequence. The error wraps journal.ErrConflict when Expected is not the last
// sequence of the order (I3). It does not call Done.
func (j *Journal) Append(a *journal.Append) (uint64, error) {
	entry := &messages.JournalEntry{}
	if err := proto.Unmarshal(a.Body, entry); err != nil {
		return 0, fmt.Errorf("append order %s: %w", a.OrderID, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var last uint64
	entries := j.entries[a.OrderID]
	if n := len(entries); n > 0 {
		last = entries[n-1].Sequence
	}
	last = max(last, j.foreign[a.OrderID])
	if a.Expected != last {
		return 0, fmt.Errorf("append order %s after entry %d: %w: the last message is %d", a.OrderID, a.Expected, journal.ErrConflict, last)
	}
	if j.entries == nil {
		j.entries = map[messages.OrderID][]journal.Entry{}
	}
	j.sequence++
	j.entries[a.OrderID] = append(entries, journal.Entry{Sequence: j.sequence, Time: time.Now(), Entry: entry})
	return j.sequence, nil
}

// History returns all entries of an order.
func (j *Journal) History(id messages.OrderID) []journal.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries[id])
}

// StoreForeign stores a message on the order's subject that is no entry: it moves the fence.
func (j *Journal) StoreForeign(id messages.OrderID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.foreign == nil {
		j.foreign = map[messages.OrderID]uint64{}
	}
	j.sequence++
	j.foreign[id] = j.sequence
}

// Read returns what journal.Journal's Read does: the first entry, and those from the latest checkpoint on, with the fence.
func (j *Journal) Read(id messages.OrderID) (entries []journal.Entry, fence uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, fence = slices.Clone(j.entries[id]), j.foreign[id]
	if n := len(entries); n > 0 {
		fence = max(fence, entries[n-1].Sequence)
	}
	for i := len(entries) - 1; i > 0; i-- {
		if messages.CheckpointSupported(entries[i].Entry.GetCheckpoint()) {
			return slices.Concat(entries[:1], entries[i:]), fence
		}
	}
	return entries, fence
}
