package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// The tests below simulate JetStream, to send replies that a real server sends only in rare races.

const (
	directGet = "$JS.API.DIRECT.GET.ORDER_EVENTS"
	leaderGet = "$JS.API.STREAM.MSG.GET.ORDER_EVENTS"
)

func answer(t *testing.T, nc *nats.Conn, subject string, reply func(*nats.Msg)) {
	t.Helper()
	if _, err := nc.Subscribe(subject, reply); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// send ignores errors: the receiver may be closed at the end of the test.
func send(t *testing.T, nc *nats.Conn, m *nats.Msg) {
	if err := nc.PublishMsg(m); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		t.Error(err)
	}
}

// direct sends the reply to a direct get that finds the sequences; those in lost do not arrive.
// The whole history is at 3, 5 and 8.
func direct(t *testing.T, nc *nats.Conn, m *nats.Msg, id messages.OrderID, pending int, lost uint64, sequences ...uint64) {
	var last uint64
	all := []uint64{0, 3, 5, 8}
	for _, seq := range sequences {
		if seq != lost {
			number := slices.Index(all, seq)
			previous := all[number-1]
			send(t, nc, &nats.Msg{Subject: m.Reply, Data: body(t, id, number, previous), Header: nats.Header{
				messages.HeaderEvent: {"parked"}, messages.HeaderExpected: {fmt.Sprint(previous)},
				"Nats-Stream": {"ORDER_EVENTS"}, "Nats-Subject": {"ORDER_EVENT." + string(id)},
				"Nats-Sequence": {fmt.Sprint(seq)}, "Nats-Last-Sequence": {fmt.Sprint(last)},
				"Nats-Time-Stamp": {time.Now().UTC().Format(time.RFC3339Nano)},
			}})
		}
		last = seq
	}
	if len(sequences) == 0 {
		send(t, nc, &nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"404"}}})
		return
	}
	send(t, nc, &nats.Msg{Subject: m.Reply, Header: nats.Header{
		"Status": {"204"}, "Nats-Num-Pending": {fmt.Sprint(pending)}, "Nats-Last-Sequence": {fmt.Sprint(last)},
	}})
}

func TestReadIsAsNewAsTheLeader(t *testing.T) {
	for _, late := range [][]uint64{{}, {3}, {3, 5}} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			nc := natstest.Start(t, natstest.NoJetStream).Connect()
			var asked atomic.Int32
			answer(t, nc, leaderGet, func(m *nats.Msg) {
				_ = m.Respond([]byte(`{"message":{"subject":"ORDER_EVENT.a","seq":8,"time":"2025-01-01T00:00:00Z"}}`))
			})
			answer(t, nc, directGet, func(m *nats.Msg) {
				if asked.Add(1) <= 3 {
					if strings.Contains(string(m.Data), `"seq":1,`) {
						direct(t, nc, m, "a", 0, 0, late...)
					} else {
						direct(t, nc, m, "a", 0, 0)
					}
					return
				}
				rest := []uint64{3, 5, 8}
				if !strings.Contains(string(m.Data), `"seq":1,`) {
					rest = rest[len(late):]
				}
				direct(t, nc, m, "a", 0, 0, rest...)
			})
			entries := read(t, open(t, nc, journal.Config{}), "a")
			if len(entries) != 3 || entries[2].Sequence != 8 {
				t.Fatalf("read %d entries, want 3 up to sequence 8", len(entries))
			}
		})
	}
}

func TestReadNoticesMissingReplies(t *testing.T) {
	for _, lost := range []uint64{3, 5, 8} {
		nc := natstest.Start(t, natstest.NoJetStream).Connect()
		answer(t, nc, leaderGet, func(m *nats.Msg) {
			_ = m.Respond([]byte(`{"message":{"subject":"ORDER_EVENT.a","seq":8,"time":"2025-01-01T00:00:00Z"}}`))
		})
		answer(t, nc, directGet, func(m *nats.Msg) { direct(t, nc, m, "a", 0, lost, 3, 5, 8) })
		_, _, err := open(t, nc, journal.Config{}).Read(t.Context(), "a")
		var f *delivery.Failure
		if !errors.As(err, &f) || f.Kind != messages.Infrastructure {
			t.Errorf("without sequence %d: got %v, want an infrastructure failure", lost, err)
		}
	}
}

func TestAnswersToAnAppend(t *testing.T) {
	cases := []struct {
		name   string
		header nats.Header
		body   string
		seq    uint64
		want   error
	}{
		{"plain", nil, `{"stream":"ORDER_EVENTS","seq":17}`, 17, nil},
		{"spaced", nil, ` {"stream": "ORDER_EVENTS", "seq": 18}`, 18, nil},
		{"domain", nil, `{"stream":"ORDER_EVENTS","domain":"hub","seq":19}`, 19, nil},
		{"refused", nil, `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"ORDER_EVENTS","seq":0}`, 0, journal.ErrConflict},
		{"refused while another append is in flight", nil, `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"ORDER_EVENTS","seq":0}`, 0, journal.ErrConflict},
		{"cut off", nil, `{"stream":"ORDER_EVENTS","seq":1`, 0, journal.ErrConflict},
		{"empty", nil, ``, 0, journal.ErrConflict},
		{"no sequence", nil, `{"stream":"ORDER_EVENTS"}`, 0, journal.ErrConflict},
		{"no resources", nil, `{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}`, 0, errInfrastructure},
		{"too many requests", nats.Header{"Status": {"429"}}, `{"error":{"code":429,"err_code":10167,"description":"too many requests"}}`, 0, errInfrastructure},
		{"no responders", nats.Header{"Status": {"503"}}, ``, 0, errInfrastructure},
	}
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	j := open(t, nc, journal.Config{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			answered := make(chan struct{})
			sub, err := nc.Subscribe("ORDER_EVENT.a", func(m *nats.Msg) {
				defer close(answered)
				for range 2 { // the second reply must be ignored
					send(t, nc, &nats.Msg{Subject: m.Reply, Header: c.header, Data: []byte(c.body)})
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			done := begin(t, j, "a", 0, 1)
			r := await(t, done)
			<-answered
			if err := sub.Unsubscribe(); err != nil {
				t.Fatal(err)
			}
			var f *delivery.Failure
			infrastructure := errors.As(r.err, &f) && f.Kind == messages.Infrastructure
			switch {
			case errors.Is(c.want, errInfrastructure) && !infrastructure:
				t.Errorf("got %v, want an infrastructure failure", r.err)
			case errors.Is(c.want, journal.ErrConflict) && (!errors.Is(r.err, journal.ErrConflict) || infrastructure):
				t.Errorf("got %v, want a conflict", r.err)
			case c.want == nil && (r.err != nil || r.seq != c.seq):
				t.Errorf("got %+v, want sequence %d", r, c.seq)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			select {
			case again := <-done:
				t.Errorf("completed twice, the second time with %+v", again)
			default:
			}
		})
	}
}

// errInfrastructure means any failure of that kind in a table of tests.
var errInfrastructure = errors.New("infrastructure")

// TestBatchAckWithWrongCount: if the server acknowledges another number of messages, every append of the batch is a conflict.
func TestBatchAckWithWrongCount(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	answer(t, nc, "ORDER_EVENT.*", func(m *nats.Msg) {
		switch {
		case m.Header.Get("Nats-Batch-Commit") != "":
			_ = m.Respond([]byte(`{"stream":"ORDER_EVENTS","seq":100,"batch":"x","count":3}`))
		case m.Reply != "":
			_ = m.Respond([]byte(`{"stream":"ORDER_EVENTS","seq":1}`))
		}
	})
	j := open(t, nc, journal.Config{GroupCommit: true})
	doubtful := 0
	for i, r := range burst(t, j, 200, order, none) {
		switch {
		case r.err == nil && r.seq == 1: // published singly
		case errors.Is(r.err, journal.ErrConflict):
			doubtful++
		default:
			t.Errorf("order %d: got %+v, want a conflict", i, r)
		}
	}
	if doubtful == 0 {
		t.Error("no batch was published")
	}
}
