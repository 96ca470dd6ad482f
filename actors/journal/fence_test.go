package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestAppendIsFenced(t *testing.T) {
	modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
		nc := s.Connect()
		js := stream(t, nc, nil)
		j := open(t, nc, cfg)
		first, err := put(t, j, "o-1", 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put(t, j, "o-1", 0, 1); !errors.Is(err, journal.ErrConflict) {
			t.Fatalf("second first entry: got %v, want a conflict", err)
		}
		if _, err := put(t, j, "o-2", 0, 1); err != nil {
			t.Fatalf("another order after a conflict: %v", err)
		}
		second, err := put(t, j, "o-1", first, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, expected := range []uint64{0, first, second - 1, second + 1} {
			if _, err := put(t, j, "o-1", expected, 3); !errors.Is(err, journal.ErrConflict) {
				t.Fatalf("append after %d where the last is %d: got %v, want a conflict", expected, second, err)
			}
		}
		if _, err := put(t, j, "o-1", second, 3); err != nil {
			t.Fatal(err)
		}
		orders := history(t, js)
		unbroken(t, orders)
		if got := orders["o-1"]; len(got) != 3 || got[0].seq != first || got[1].seq != second {
			t.Fatalf("stored %v, want sequences %d, %d and another", got, first, second)
		}
	})
}

func TestAppendNamesWhatIsWrongWithTheStream(t *testing.T) {
	cases := []struct {
		name   string
		stream func(*testing.T, *nats.Conn)
		size   int
		want   string
	}{
		{"missing", func(*testing.T, *nats.Conn) {}, 0, "ORDER_EVENTS exists"},
		{"full", func(t *testing.T, nc *nats.Conn) {
			stream(t, nc, func(c *jetstream.StreamConfig) { c.MaxBytes, c.Discard = 1, jetstream.DiscardNew })
		}, 0, "maximum bytes exceeded"},
		{"sealed", func(t *testing.T, nc *nats.Conn) {
			js := stream(t, nc, nil)
			cfg := jetstream.StreamConfig{
				Name: messages.StreamEvents, Subjects: []string{messages.SubjectEvent + "*"}, Sealed: true,
				AllowDirect: true, AllowAtomicPublish: true, Duplicates: 1e9,
			}
			if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}, 0, "sealed"},
		{"max payload", func(t *testing.T, nc *nats.Conn) { stream(t, nc, nil) }, 2 << 20, "max_payload"},
		{"another stream", func(t *testing.T, nc *nats.Conn) {
			stream(t, nc, func(c *jetstream.StreamConfig) { c.Name = "OTHER" })
		}, 0, `"OTHER"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			modes(t, func(t *testing.T, s *natstest.Server, cfg journal.Config) {
				nc := s.Connect()
				c.stream(t, nc)
				j := open(t, nc, cfg)
				// Several at once, so that group commit batches some of them.
				var done [4]chan result
				for i := range done {
					done[i] = make(chan result, 1)
					j.Append(&journal.Append{
						OrderID: messages.OrderID('a' + rune(i)), Body: append(make([]byte, c.size), 1),
						Done: func(_ *journal.Append, seq uint64, err error) { done[i] <- result{seq, err} },
					})
				}
				for i := range done {
					err := await(t, done[i]).err
					var f *delivery.Failure
					want := messages.Infrastructure
					if c.size > 0 {
						want = messages.Defect // the stream is there: it is a failure of the order
					}
					if !errors.As(err, &f) || f.Kind != want || errors.Is(err, journal.ErrConflict) {
						t.Fatalf("got %v, want a failure of kind %s", err, want)
					}
					if !strings.Contains(err.Error(), c.want) {
						t.Fatalf("got %q, want it to contain %q", err, c.want)
					}
				}
			})
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	nc := natstest.Start(t).Connect()
	for _, cfg := range []journal.Config{{BatchMax: -1}, {BatchMax: 10001}, {AckTimeout: -1}} {
		if _, err := journal.New(natstest.JetStream(t, nc), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if _, err := journal.New(nil, journal.Config{}); err == nil {
		t.Error("a journal without a connection was made")
	}
}
