package journal_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestStreamInAnotherDomain: every append and read goes to the JetStream domain of the client.
func TestStreamInAnotherDomain(t *testing.T) {
	hub, leaf := natstest.Leaf(t)
	stream(t, hub.Connect(), nil)
	leaf.WaitForInterest(messages.SubjectEvent + "o-1")
	js, err := jetstream.NewWithDomain(leaf.Connect(), natstest.LeafDomain)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg     journal.Config
		foreign bool
	}{
		"walk": {journal.Config{SingleServer: true}, false}, "walk from the leader's last": {journal.Config{}, false}, "pages": {journal.Config{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := journal.New(js, c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			id := order(len(name))
			var last, fence uint64
			for n := 1; n <= 3; n++ {
				if c.foreign {
					ack, err := js.Publish(natstest.Context(t), messages.SubjectEvent+string(id), nil)
					if err != nil {
						t.Fatal(err)
					}
					fence = ack.Sequence
				}
				r := await(t, appended(j, id, fence, body(t, id, n, last)))
				if r.err != nil {
					t.Fatal(r.err)
				}
				last, fence = r.seq, r.seq
			}
			if entries := read(t, j, id); len(entries) != 3 {
				t.Errorf("read %d entries, want 3", len(entries))
			}
			if e, found, err := j.Last(natstest.Context(t), id); err != nil || !found || e.Sequence != last {
				t.Errorf("the last entry is at %d, found %t, error %v; want %d", e.Sequence, found, err, last)
			}
			scanned := 0
			if err := journal.Scan(natstest.Context(t), js, func(journal.Entry) error { scanned++; return nil }); err != nil || scanned < 3 {
				t.Errorf("scanned %d entries, error %v", scanned, err)
			}
		})
	}
}
