package natsclient_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

const stream = "S"

// store creates a stream and stores messages on subjects s.0, s.1, s.0, … whose bodies are their sequences.
func store(t *testing.T, js jetstream.JetStream, n int) jetstream.Stream {
	t.Helper()
	ctx := natstest.Context(t)
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"s.*"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := js.Publish(ctx, fmt.Sprintf("s.%d", i%2), []byte(fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPages(t *testing.T) {
	js := natstest.Start(t).JetStream()
	s := store(t, js, 10)
	r, api := requester(t, js.Conn(), natsclient.Config{Timeout: natstest.Patience}), natsclient.NewAPI(js)
	get := func(get natsclient.Get) ([]uint64, natsclient.Page, error) {
		t.Helper()
		page, err := r.GetPage(natstest.Context(t), api, stream, get)
		var sequences []uint64
		for _, m := range page.Msgs {
			sequences = append(sequences, m.Sequence)
			if fmt.Sprint(m.Sequence) != string(m.Data) || get.NoHeaders != m.Time.IsZero() {
				t.Errorf("message %d has body %s and time %s", m.Sequence, m.Data, m.Time)
			}
		}
		return sequences, page, err
	}
	for _, c := range []struct {
		get     natsclient.Get
		want    string
		pending bool
	}{
		{natsclient.Get{Sequence: 1, Batch: 100}, "[1 2 3 4 5 6 7 8 9 10]", false},
		{natsclient.Get{Sequence: 4, Batch: 3}, "[4 5 6]", true},
		{natsclient.Get{Sequence: 4, Batch: 3, NoHeaders: true}, "[4 5 6]", true},
		{natsclient.Get{Sequence: 2, Batch: 100, NextBySubject: "s.0"}, "[3 5 7 9]", false},
		{natsclient.Get{Sequence: 11, Batch: 100}, "[]", false},
		{natsclient.Get{Sequence: 1, Batch: 100, NextBySubject: "s.2"}, "[]", false},
	} {
		got, page, err := get(c.get)
		if err != nil || fmt.Sprint(got) != c.want || (page.Pending > 0) != c.pending {
			t.Errorf("%+v: got %v, pending %d, error %v; want %s", c.get, got, page.Pending, err, c.want)
		}
	}
	if err := s.DeleteMsg(natstest.Context(t), 5); err != nil {
		t.Fatal(err)
	}
	if got, _, err := get(natsclient.Get{Sequence: 4, Batch: 3}); err != nil || fmt.Sprint(got) != "[4 6 7]" {
		t.Errorf("got %v, error %v; want [4 6 7]", got, err)
	}
	if _, err := r.GetPage(natstest.Context(t), api, stream, natsclient.Get{Sequence: 4, Batch: 3, NoHeaders: true}); !errors.Is(err, natsclient.ErrGap) {
		t.Errorf("got %v, want ErrGap", err)
	}
	if _, err := r.GetPage(natstest.Context(t), api, "unknown", natsclient.Get{Sequence: 1, Batch: 3}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v, want ErrNoResponders", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("reason")
	cancel(reason)
	if _, err := r.GetPage(ctx, api, stream, natsclient.Get{Sequence: 1, Batch: 3}); err != nil && !errors.Is(err, reason) {
		t.Errorf("got %v, want the cause of the context's end", err)
	}
}

// TestStoredStatusHeaders: a stored message with the headers of a server's status is a stored message.
func TestStoredStatusHeaders(t *testing.T) {
	js := natstest.Start(t).JetStream()
	store(t, js, 0)
	for _, status := range []string{"503", "404", "204", "100"} {
		if _, err := js.PublishMsg(natstest.Context(t), &nats.Msg{Subject: "s.0", Header: nats.Header{"Status": {status}}}); err != nil {
			t.Fatal(err)
		}
	}
	r := requester(t, js.Conn(), natsclient.Config{Timeout: natstest.Patience})
	page, err := r.GetPage(natstest.Context(t), natsclient.NewAPI(js), stream, natsclient.Get{Sequence: 1, Batch: 10})
	if err != nil || len(page.Msgs) != 4 {
		t.Errorf("read %d messages, error %v; want 4", len(page.Msgs), err)
	}
}

func TestGetFromLeader(t *testing.T) {
	js := natstest.Start(t).JetStream()
	store(t, js, 4)
	api := natsclient.NewAPI(js)
	for get, want := range map[natsclient.Get]uint64{
		{Sequence: 3}: 3, {Sequence: 5}: 0, {LastBySubject: "s.0"}: 3, {LastBySubject: "s.2"}: 0, {Sequence: 2, NextBySubject: "s.0"}: 3,
	} {
		m, err := api.GetFromLeader(natstest.Context(t), stream, get)
		if err != nil || (m == nil) != (want == 0) || m != nil && (m.Sequence != want || string(m.Data) != fmt.Sprint(want)) {
			t.Errorf("%+v: got %+v, error %v; want message %d", get, m, err, want)
		}
	}
	if _, err := api.GetFromLeader(natstest.Context(t), "unknown", natsclient.Get{Sequence: 1}); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("got %v, want ErrStreamNotFound", err)
	}
}

func TestAPIPrefix(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	for want, newJS := range map[string]func() (jetstream.JetStream, error){
		"$JS.API.X":     func() (jetstream.JetStream, error) { return jetstream.New(nc) },
		"$JS.hub.API.X": func() (jetstream.JetStream, error) { return jetstream.NewWithDomain(nc, "hub") },
		"js.a.X":        func() (jetstream.JetStream, error) { return jetstream.NewWithAPIPrefix(nc, "js.a") },
		"js.b.X":        func() (jetstream.JetStream, error) { return jetstream.NewWithAPIPrefix(nc, "js.b.") },
	} {
		js, err := newJS()
		if err != nil {
			t.Fatal(err)
		}
		if got := natsclient.NewAPI(js).Subject("X"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAcks(t *testing.T) {
	for data, want := range map[string]jetstream.PubAck{
		`{"stream":"ORDER_EVENTS","seq":17}`:                    {Stream: messages.StreamEvents, Sequence: 17},
		`{"stream":"ORDERS","seq":18}`:                          {Stream: messages.StreamOrders, Sequence: 18},
		` {"stream": "ORDERS", "seq": 18}`:                      {Stream: messages.StreamOrders, Sequence: 18},
		`{"stream":"ORDERS2","seq":18}`:                         {Stream: "ORDERS2", Sequence: 18},
		`{"stream":"ORDERS","seq":19,"duplicate":true}`:         {Stream: messages.StreamOrders, Sequence: 19, Duplicate: true},
		`{"stream":"ORDER_EVENTS","domain":"hub","seq":20}`:     {Stream: messages.StreamEvents, Sequence: 20, Domain: "hub"},
		`{"stream":"ORDERS","seq":1`:                            {},
		`{"stream":"ORDERS","seq":0}`:                           {},
		`{"stream":"ORDERS"}`:                                   {},
		`{"seq":1}`:                                             {},
		``:                                                      {},
		`{"error":{"code":400,"err_code":10071},"stream":"S"}`:  {},
		`{"error":{"code":400,"err_code":10164},"stream":"S"}`:  {},
		`{"error":{"code":400,"err_code":10054},"stream":"S"}`:  {},
		`{"error":{"code":503,"err_code":10023},"seq":1}`:       {},
		`{"error":{"code":503,"err_code":10023},"stream":"S"}}`: {},
	} {
		ack, err := natsclient.ParseAck(&nats.Msg{Data: []byte(data)})
		if ack != want || (err == nil) != (want.Sequence > 0) {
			t.Errorf("%s: got %+v, error %v; want %+v", data, ack, err, want)
		}
	}
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := natsclient.ParseAck(&plain); err != nil {
			t.Error(err)
		}
	})
	if allocs > 0 {
		t.Errorf("a plain ack takes %.0f allocations", allocs)
	}
	for code, want := range map[int]bool{10071: true, 10164: true, 10054: false} {
		_, err := natsclient.ParseAck(&nats.Msg{Data: fmt.Appendf(nil, `{"error":{"err_code":%d}}`, code)})
		if natsclient.WrongLastSequence(err) != want || natsclient.ErrorCode(err) != jetstream.ErrorCode(code) {
			t.Errorf("error %v has code %d", err, natsclient.ErrorCode(err))
		}
	}
}

var plain = nats.Msg{Data: []byte(`{"stream":"ORDER_EVENTS","seq":1234567}`)}

// TestServerErrorCodes: the codes that package jetstream does not name are the server's.
func TestServerErrorCodes(t *testing.T) {
	for code, want := range map[jetstream.ErrorCode]*server.ApiError{
		natsclient.ErrorCodeHeaderTooLarge:      server.ApiErrors[server.JSStreamHeaderExceedsMaximumErr],
		natsclient.ErrorCodeAtomicDisabled:      server.ApiErrors[server.JSAtomicPublishDisabledErr],
		natsclient.ErrorCodeAtomicBatchTooLarge: server.ApiErrors[server.JSAtomicPublishTooLargeBatchErrF],
	} {
		if uint16(code) != want.ErrCode {
			t.Errorf("code %d: the server has %d, %s", code, want.ErrCode, want.Description)
		}
	}
}
