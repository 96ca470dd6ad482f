package client_test

import (
	"slices"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// consumers are the names of those that read the journal.
func (j *journal) consumers(t *testing.T) []string {
	t.Helper()
	s, err := j.js.Stream(t.Context(), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	all := s.ConsumerNames(t.Context())
	names := []string{}
	for name := range all.Name() {
		names = append(names, name)
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// TestStopLeavesNothing on the server: a consumer would burden every append for minutes.
func TestStopLeavesNothing(t *testing.T) {
	j := open(t)
	j.streams(t)
	w, err := client.StartWatch(t.Context(), j.js)
	if err != nil {
		t.Fatal(err)
	}
	w.Add("a")
	j.append(t, "a", "completed")
	if err := wait(t, w, patience); err != nil {
		t.Error(err)
	}
	if names := j.consumers(t); len(names) != 1 {
		t.Errorf("consumers %v while it follows, want one", names)
	}
	w.Stop()
	// The server answers a question beside what it was asked for before.
	for end := time.Now().Add(patience); len(j.consumers(t)) != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("consumers %v are left behind", j.consumers(t))
		}
	}
}
