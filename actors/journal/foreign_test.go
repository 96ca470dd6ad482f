package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// foreign stores a message that no node stored on the subject of order a, and returns its sequence.
func foreign(t *testing.T, js jetstream.JetStream, m nats.Msg) uint64 {
	t.Helper()
	m.Subject = messages.SubjectEvent + "a"
	ack, err := js.PublishMsg(t.Context(), &m)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// kinds is the header of an entry that a client can copy.
var kinds = nats.Header{messages.HeaderEvent: {"step_completed"}}

// TestForeignMessagesArePassedOver: whatever else is stored on an order's subject, before its first entry, between entries or
// after them, reads return the entries alone and the fence that lets the next append pass.
func TestForeignMessagesArePassedOver(t *testing.T) {
	messagesOf := map[string]func(last uint64) nats.Msg{
		"acknowledgement of a stream": func(uint64) nats.Msg { return nats.Msg{Data: []byte(`{"stream":"ORDERS","seq":17}`)} },
		"empty":                       func(uint64) nats.Msg { return nats.Msg{} },
		"garbage with the header":     func(uint64) nats.Msg { return nats.Msg{Header: kinds, Data: []byte{0xff, 0xff}} },
		"entry of another order":      func(uint64) nats.Msg { return nats.Msg{Header: kinds, Data: body(t, "b", 2, 1)} },
		"own first entry again":       func(uint64) nats.Msg { return nats.Msg{Header: kinds, Data: body(t, "a", 1, 0)} },
		"next entry without a fence":  func(last uint64) nats.Msg { return nats.Msg{Header: kinds, Data: body(t, "a", 2, last)} },
		"fenced, another order's": func(last uint64) nats.Msg {
			return nats.Msg{Header: fenced(last), Data: body(t, "b", 2, last)}
		},
		"fenced, undecodable":      func(last uint64) nats.Msg { return nats.Msg{Header: fenced(last), Data: []byte{0xff}} },
		"fenced, wrong number":     func(last uint64) nats.Msg { return nats.Msg{Header: fenced(last), Data: body(t, "a", 99, last)} },
		"fenced, wrong previous":   func(last uint64) nats.Msg { return nats.Msg{Header: fenced(last), Data: body(t, "a", 2, last+1)} },
		"fenced, earlier previous": func(last uint64) nats.Msg { return nats.Msg{Header: fenced(last), Data: body(t, "a", 2, last/2)} },
	}
	for name, message := range messagesOf {
		for _, way := range ways[:2] {
			t.Run(name+", "+way.name, func(t *testing.T) {
				t.Parallel()
				nc := natstest.Start(t).Connect()
				js := stream(t, nc, nil)
				j := open(t, nc, way.cfg)
				var entries []uint64
				var fence, last uint64
				for n := 1; n <= 4; n++ {
					fence = foreign(t, js, message(fence))
					if _, err := put(t, j, "a", last, n); !errors.Is(err, journal.ErrConflict) {
						t.Fatalf("an append that does not know of the foreign message: %v, want a conflict", err)
					}
					got, seen, err := j.Read(t.Context(), "a")
					if err != nil || seen != fence || !slices.Equal(sequencesOf(got), entries) {
						t.Fatalf("read entries %d and fence %d, %v; want %d and %d", sequencesOf(got), seen, err, entries, fence)
					}
					if e, found, err := j.Last(t.Context(), "a"); err != nil || found != (n > 1) || e.Sequence != last {
						t.Fatalf("last entry %d, %t, %v; want %d", e.Sequence, found, err, last)
					}
					r := await(t, appended(j, "a", seen, body(t, "a", n, last)))
					if r.err != nil {
						t.Fatal(r.err)
					}
					last, fence = r.seq, r.seq
					entries = append(entries, last)
				}
				all, err := j.History(t.Context(), "a")
				if err != nil || !slices.Equal(sequencesOf(all), entries) {
					t.Fatalf("history %d, %v; want %d", sequencesOf(all), err, entries)
				}
				if err := journal.Scan(t.Context(), js, func(e journal.Entry) error {
					if name == "acknowledgement of a stream" && !slices.Contains(entries, e.Sequence) {
						t.Errorf("a scan returned the foreign message at %d", e.Sequence)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func fenced(last uint64) nats.Header {
	return nats.Header{messages.HeaderEvent: {"step_completed"}, messages.HeaderExpected: {fmt.Sprint(last)}}
}

func sequencesOf(entries []journal.Entry) (sequences []uint64) {
	for _, e := range entries {
		sequences = append(sequences, e.Sequence)
	}
	return sequences
}

// TestEntryWithoutItsPredecessorIsNotForeign: a history that lost an entry is damaged, and the fold must see it: its rest is
// not passed over, and an order that lost its first entry is not a new one.
func TestEntryWithoutItsPredecessorIsNotForeign(t *testing.T) {
	for removed := range 3 {
		nc := natstest.Start(t).Connect()
		js := stream(t, nc, nil)
		sequences := write(t, js, "a", 4, true)
		s, err := js.Stream(t.Context(), messages.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteMsg(t.Context(), sequences[removed]); err != nil {
			t.Fatal(err)
		}
		want := slices.Delete(slices.Clone(sequences), removed, removed+1)
		if got := sequencesOf(read(t, open(t, nc, journal.Config{}), "a")); !slices.Equal(got, want) {
			t.Errorf("without entry %d: read %d, want %d", removed+1, got, want)
		}
	}
}

// TestForeignMessagesCostNothingOnceFencedOver: a thousand of them are read once, in pages; after the entries that follow them,
// a read is a walk again. They can be removed at any time.
func TestForeignMessagesCostNothingOnceFencedOver(t *testing.T) {
	s := natstest.Start(t)
	nc := s.Connect()
	js := stream(t, nc, nil)
	j := open(t, nc, journal.Config{SingleServer: true})
	last, err := put(t, j, "a", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	var removed []uint64
	for range 1000 {
		removed = append(removed, foreign(t, js, nats.Msg{Data: []byte(`{"stream":"ORDERS","seq":17}`)}))
	}
	_, fence, err := j.Read(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 3; n++ {
		r := await(t, appended(j, "a", fence, body(t, "a", n, last)))
		if r.err != nil {
			t.Fatal(r.err)
		}
		last, fence = r.seq, r.seq
	}
	asked := spy(t, s.Connect())
	check := func() {
		t.Helper()
		if entries := read(t, j, "a"); len(entries) != 3 || entries[2].Sequence != last {
			t.Fatalf("read %d", sequencesOf(entries))
		}
	}
	check()
	natstest.Eventually(t, "one request for each entry", func() bool { return asked.direct.Load() == 3 })
	if n := asked.pages.Load(); n > 0 {
		t.Errorf("%d pages read, want none", n)
	}
	events, err := js.Stream(t.Context(), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range removed {
		if err := events.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	check()
	if r := await(t, appended(j, "a", last, body(t, "a", 4, last))); r.err != nil {
		t.Fatal(r.err)
	}
}

// TestForeignMessagesAreLoggedOnce: the log names one of them with its stream, sequence and subject.
func TestForeignMessagesAreLoggedOnce(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, nil)
	var log bytes.Buffer
	j := open(t, nc, journal.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	first := foreign(t, js, nats.Msg{Data: []byte("x")})
	foreign(t, js, nats.Msg{Data: []byte("y")})
	for range 3 {
		read(t, j, "a")
	}
	if n := strings.Count(log.String(), "orderly repair"); n != 1 {
		t.Errorf("%d logs, want 1:\n%s", n, &log)
	}
	if want := fmt.Sprintf("stream=ORDER_EVENTS sequence=%d subject=ORDER_EVENT.a", first); !strings.Contains(log.String(), want) {
		t.Errorf("got %s, want %s", &log, want)
	}
}
