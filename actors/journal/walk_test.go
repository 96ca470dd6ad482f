package journal_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// ways are the methods of reading a history. One that a foreign message follows is read page by page.
var ways = []struct {
	name    string
	cfg     journal.Config
	foreign bool
}{
	{"walk", journal.Config{SingleServer: true}, false},
	{"walk from the leader's last", journal.Config{}, false},
	{"pages", journal.Config{}, true},
}

// store stores an entry as a journal does, after the message at sequence last.
func store(t testing.TB, js jetstream.JetStream, id messages.OrderID, body []byte, last uint64) uint64 {
	t.Helper()
	ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: messages.SubjectEvent + string(id), Data: body, Header: nats.Header{
		messages.HeaderEvent: {"step_completed"}, messages.HeaderExpected: {fmt.Sprint(last)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// write stores n entries of the order between entries of other orders, and returns their sequences.
func write(t *testing.T, js jetstream.JetStream, id messages.OrderID, n int, foreign bool) []uint64 {
	t.Helper()
	var sequences []uint64
	var last uint64
	for i := range n {
		if i%3 == 1 {
			between := messages.OrderID(fmt.Sprintf("between-%s-%d", id, i))
			store(t, js, between, body(t, between, 1, 0), 0)
		}
		last = store(t, js, id, body(t, id, i+1, last), last)
		sequences = append(sequences, last)
	}
	if foreign {
		if _, err := js.Publish(t.Context(), messages.SubjectEvent+string(id), nil); err != nil {
			t.Fatal(err)
		}
	}
	return sequences
}

// TestReadsAgree: every method of reading returns the whole history, whatever its length.
func TestReadsAgree(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			nc := natstest.Start(t).Connect()
			js := stream(t, nc, nil)
			j := open(t, nc, way.cfg)
			for _, n := range []int{0, 1, 2, 7, 255, 256, 257, 300} {
				id := order(n)
				want := write(t, js, id, n, way.foreign)
				entries := read(t, j, id)
				if len(entries) != n {
					t.Fatalf("read %d entries, want %d", len(entries), n)
				}
				for i, e := range entries {
					if e.Sequence != want[i] || e.Entry.GetNumber() != uint32(i+1) {
						t.Fatalf("entry %d: sequence %d, number %d; want sequence %d", i+1, e.Sequence, e.Entry.GetNumber(), want[i])
					}
				}
			}
		})
	}
}

// requests counts the requests to the server, by kind.
type requests struct{ pages, leader, direct atomic.Int32 }

func spy(t *testing.T, nc *nats.Conn) *requests {
	t.Helper()
	r := &requests{}
	answer(t, nc, directGet, func(m *nats.Msg) {
		if strings.Contains(string(m.Data), `"batch"`) {
			r.pages.Add(1)
		} else {
			r.direct.Add(1)
		}
	})
	answer(t, nc, leaderGet, func(*nats.Msg) { r.leader.Add(1) })
	return r
}

// TestWalkNeedsNoPages: a walk reads the entries that a Journal appended with one request for each, and no pages.
func TestWalkNeedsNoPages(t *testing.T) {
	for _, single := range []bool{true, false} {
		t.Run(fmt.Sprintf("single server %t", single), func(t *testing.T) {
			s := natstest.Start(t, natstest.SyncAlways)
			nc := s.Connect()
			stream(t, nc, nil)
			j := open(t, nc, journal.Config{GroupCommit: true, SingleServer: single})
			const orders, each = 300, 4
			last := make([]uint64, orders)
			for n := range each {
				for i, r := range burstOf(t, j, orders, n+1, last) {
					last[i] = r.seq
				}
			}
			asked := spy(t, s.Connect())
			for i := range orders {
				if entries := read(t, j, order(i)); len(entries) != each || entries[each-1].Sequence != last[i] {
					t.Fatalf("read %d entries of order %d, want %d", len(entries), i, each)
				}
			}
			leader, direct := int32(orders), int32(orders*(each-1))
			if single {
				leader, direct = 0, orders*each
			}
			natstest.Eventually(t, "one request for each entry", func() bool { return asked.leader.Load() == leader && asked.direct.Load() == direct })
			if n := asked.pages.Load(); n > 0 {
				t.Errorf("%d pages read, want none", n)
			}
		})
	}
}

// burstOf appends the n-th entry of each order at once.
func burstOf(t *testing.T, j *journal.Journal, orders, n int, last []uint64) []result {
	t.Helper()
	var waits []<-chan result
	for i := range orders {
		waits = append(waits, begin(t, j, order(i), last[i], n))
	}
	var results []result
	for i, w := range waits {
		r := await(t, w)
		if r.err != nil {
			t.Fatalf("order %d: %v", i, r.err)
		}
		results = append(results, r)
	}
	return results
}

// TestWalkWithLaggingServer: the server does not have an entry yet that the leader's last entry names, and gets it later.
func TestWalkWithLaggingServer(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	answer(t, nc, leaderGet, func(m *nats.Msg) {
		_ = m.Respond(fmt.Appendf(nil, `{"message":{"subject":"ORDER_EVENT.a","seq":8,"data":%q,"hdrs":%q,"time":"2025-01-01T00:00:00Z"}}`,
			base64.StdEncoding.EncodeToString(body(t, "a", 3, 5)), base64.StdEncoding.EncodeToString([]byte("NATS/1.0\r\nOrderly-Event: parked\r\nNats-Expected-Last-Subject-Sequence: 5\r\n\r\n"))))
	})
	var walked, paged atomic.Int32
	answer(t, nc, directGet, func(m *nats.Msg) {
		if !strings.Contains(string(m.Data), `"batch"`) {
			walked.Add(1)
			send(t, nc, &nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"404"}}})
			return
		}
		if paged.Add(1) <= 2 {
			direct(t, nc, m, "a", 0, 0)
			return
		}
		direct(t, nc, m, "a", 0, 0, 3, 5, 8)
	})
	entries := read(t, open(t, nc, journal.Config{}), "a")
	if len(entries) != 3 || entries[2].Sequence != 8 {
		t.Fatalf("read %d entries, want 3 up to sequence 8", len(entries))
	}
	if walked.Load() != 1 || paged.Load() != 3 {
		t.Errorf("asked for %d entries and %d pages, want 1 and 3", walked.Load(), paged.Load())
	}
}

// TestWalkIgnoresOtherReplies: a duplicate reply is ignored, and inconsistent entries are read again in pages.
func TestWalkIgnoresOtherReplies(t *testing.T) {
	for name, bodies := range map[string][2][]byte{
		"sound":        {body(t, "a", 1), body(t, "a", 2, 3)},
		"other number": {body(t, "a", 1), body(t, "a", 7, 3)},
		"no beginning": {body(t, "a", 1, 2), body(t, "a", 2, 3)},
		"no end":       {body(t, "a", 1), body(t, "a", 2, 5)},
	} {
		t.Run(name, func(t *testing.T) {
			nc := natstest.Start(t, natstest.NoJetStream).Connect()
			answer(t, nc, leaderGet, func(m *nats.Msg) {
				_ = m.Respond([]byte(`{"message":{"subject":"ORDER_EVENT.a","seq":8,"time":"2025-01-01T00:00:00Z"}}`))
			})
			var paged atomic.Int32
			answer(t, nc, directGet, func(m *nats.Msg) {
				for range 2 {
					switch request := string(m.Data); {
					case strings.Contains(request, "batch"):
						if paged.Add(1) == 1 {
							direct(t, nc, m, "a", 0, 0, 3, 5, 8)
						}
					case strings.Contains(request, "last_by_subj"):
						send(t, nc, &nats.Msg{Subject: m.Reply, Data: body(t, "a", 3, 5), Header: nats.Header{
							messages.HeaderEvent: {"parked"}, messages.HeaderExpected: {"5"},
							"Nats-Sequence": {"8"}, "Nats-Time-Stamp": {"2025-01-01T00:00:00Z"},
						}})
					case strings.Contains(request, `"seq":5`):
						send(t, nc, &nats.Msg{Subject: m.Reply, Data: bodies[1]})
					case strings.Contains(request, `"seq":3`):
						send(t, nc, &nats.Msg{Subject: m.Reply, Data: bodies[0]})
					}
				}
			})
			entries := read(t, open(t, nc, journal.Config{SingleServer: true}), "a")
			if len(entries) != 3 || entries[0].Sequence != 3 || entries[1].Sequence != 5 || entries[2].Sequence != 8 {
				t.Errorf("got %+v, want sequences 3, 5, 8", entries)
			}
			if walked := paged.Load() == 0; walked != (name == "sound") {
				t.Errorf("%d pages read", paged.Load())
			}
		})
	}
}

// TestReadsDuringAppends: a read during appends returns a history without gaps that has at least the entries stored before
// the read.
func TestReadsDuringAppends(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			nc := natstest.Start(t).Connect()
			js := stream(t, nc, nil)
			j := open(t, nc, way.cfg)
			var known atomic.Uint64
			ctx, stop := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					for ctx.Err() == nil {
						least := known.Load()
						entries, _, err := j.Read(t.Context(), "a")
						if err != nil {
							t.Error(err)
							return
						}
						if n := len(entries); least > 0 && (n == 0 || entries[n-1].Sequence < least) {
							t.Errorf("read %d entries, none at or after sequence %d", n, least)
						}
						for i, e := range entries {
							if e.Entry.GetNumber() != uint32(i+1) {
								t.Errorf("entry %d is in place %d", e.Entry.GetNumber(), i+1)
							}
						}
					}
				})
			}
			var last uint64
			for i := range 60 {
				fence := last
				if way.foreign {
					ack, err := js.Publish(t.Context(), messages.SubjectEvent+"a", nil)
					if err != nil {
						t.Error(err)
						break
					}
					fence = ack.Sequence
				}
				last = store(t, js, "a", body(t, "a", i+1, last), fence)
				known.Store(last)
			}
			stop()
			group.Wait()
		})
	}
}
