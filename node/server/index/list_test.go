package index_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/index"
)

// attention appends an order that has needed attention since a time.
func (s *testServer) attention(id, customer, cause string, since time.Time) {
	s.t.Helper()
	p := plan.Sim("sim:")
	s.append(&messages.JournalEntry{OrderId: id, Number: 1, Time: timestamppb.New(since), Events: []*messages.Event{
		{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Order: &messages.OrderCreated{OrderId: id, CustomerId: customer, Currency: "EUR", TotalAmount: 19}, Plan: p,
			Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1}, Incarnation: "i",
		}}},
		{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{Step: p.Steps[0].Name, Cause: cause}}},
	}})
}

// TestAge: older and newer mean the time for which an order has been in its status.
func TestAge(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	now := time.Now()
	for hours := range 10 {
		s.attention(fmt.Sprintf("o-%d", hours), "c-1", "stuck", now.Add(-time.Duration(hours)*time.Hour-time.Minute))
	}
	x, _ := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	for _, c := range []struct {
		older, newer time.Duration
		want         string
	}{
		{0, 0, "o-0 o-1 o-2 o-3 o-4 o-5 o-6 o-7 o-8 o-9"},
		{7 * time.Hour, 0, "o-7 o-8 o-9"},
		{0, 2 * time.Hour, "o-0 o-1"},
		{3 * time.Hour, 5 * time.Hour, "o-3 o-4"},
		{24 * time.Hour, 0, ""},
	} {
		for _, size := range []int{1, 2, 3, 1000} {
			var ids []string
			for _, o := range listAll(t, x, index.Query{Status: []string{"attention", "attention"}, Older: index.Duration(c.older), Newer: index.Duration(c.newer)}, size) {
				ids = append(ids, o.OrderID)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("older %s, newer %s, pages of %d: %s, want %s", c.older, c.newer, size, got, c.want)
			}
		}
	}
}

// TestAgeOfAParkedOrder: it began with the first park since the order made progress, however often it was woken.
func TestAgeOfAParkedOrder(t *testing.T) {
	t.Parallel()
	x, err := index.NewManual(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	epoch := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	number := uint32(0)
	take := func(minute int, events ...*messages.Event) {
		t.Helper()
		number++
		body, err := journal.Encode(nil, &messages.JournalEntry{
			OrderId: "o-1", Number: number, Previous: uint64(number - 1), Time: timestamppb.New(epoch.Add(time.Duration(minute) * time.Minute)), Events: events,
		})
		if err == nil {
			err = x.Take(uint64(number), body, time.Now())
		}
		if err == nil && minute%2 == 0 {
			err = x.Write()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	since := func(want int) {
		t.Helper()
		page, err := x.List(t.Context(), index.Query{Status: []string{"parked"}})
		if err != nil || len(page.Orders) != 1 {
			t.Fatalf("%d orders, error %v", len(page.Orders), err)
		}
		if got := page.Orders[0].StatusSince.Sub(epoch).Minutes(); got != float64(want) {
			t.Errorf("parked since minute %v, want %d", got, want)
		}
	}
	p := plan.Sim("sim:")
	driver := &messages.Source{Stream: messages.StreamOrders, Sequence: 1}
	parked := &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "out", Until: timestamppb.New(epoch.Add(time.Hour))}}}
	resumed := &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: driver, Incarnation: "i", Cause: "wake"}}}
	take(0, &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{OrderId: "o-1", CustomerId: "c"}, Plan: p, Driver: driver, Incarnation: "i",
	}}})
	take(1, parked)
	since(1)
	for minute := 2; minute < 10; minute += 2 {
		take(minute, resumed)
		take(minute+1, parked)
		since(1)
	}
	take(10, resumed)
	done := func(step int) *messages.Event {
		return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: p.Steps[step].Name}}}
	}
	take(11, done(0), parked)
	since(11)
	// One entry may resume the order, complete a step and park it again.
	take(12, resumed, done(1), parked)
	since(12)
}

// TestCloseLeavesOnlyTheDatabase: SQLite's other files are removed.
func TestCloseLeavesOnlyTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := index.Fill(dir, 100); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "index.db" {
		t.Fatalf("files %v, error %v: want index.db only", files, err)
	}
	// It has customers and reasons, which are private.
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, error %v: want 0600", info.Mode().Perm(), err)
	}
}

func TestInvalidQueries(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	x, _ := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	for name, q := range map[string]index.Query{
		`status "done": want running, compensating,`: {Status: []string{"running", "done"}},
		"limit 1001: want 1–1000":                    {Limit: 1001},
		"limit -1":                                   {Limit: -1},
		"older and newer: want 0 or more":            {Older: -1},
		"want newer to be longer than older":         {Older: 5, Newer: 5},
		"want UTF-8 without NUL":                     {Reason: "a\x00"},
		"reason has 2000 bytes":                      {Reason: strings.Repeat("x", 2000)},
		`cursor "x"`:                                 {Cursor: "x"},
		`cursor "MS4"`:                               {Cursor: "MS4"},
	} {
		for _, ask := range []func() (*index.Page, error){
			func() (*index.Page, error) { return x.List(t.Context(), q) },
			func() (*index.Page, error) { return index.Ask(t.Context(), s.nc, q) },
		} {
			if _, err := ask(); !errors.Is(err, index.ErrQuery) || !strings.Contains(err.Error(), name) {
				t.Errorf("%+v: error %v, want %q", q, err, name)
			}
		}
	}
	// Queries that index.Ask would not send.
	for body, want := range map[string]string{
		`{`: "unexpected end", `{"limit": 5000}`: "limit 5000", `{"older": "soon"}`: "want a number with its unit",
		strings.Repeat(" ", 20_000): "at most 16384 are allowed",
	} {
		m, err := s.nc.Request(index.Subject, []byte(body), natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if code, text := m.Header.Get("Nats-Service-Error-Code"), m.Header.Get("Nats-Service-Error"); code != "400" || !strings.Contains(text, want) {
			t.Errorf("%.40q: %s %s, want 400 and %q", body, code, text, want)
		}
	}
}

// TestWithoutIndex: the error says what to do.
func TestWithoutIndex(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	if _, err := index.Ask(t.Context(), s.nc, index.Query{}); !errors.Is(err, index.ErrNoNode) || !strings.Contains(err.Error(), "ORDERLY_INDEX=on") {
		t.Errorf("error %v", err)
	}
	x, stop := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	stop()
	if _, err := x.List(t.Context(), index.Query{}); !errors.Is(err, index.ErrNoIndex) {
		t.Errorf("error %v: want %v", err, index.ErrNoIndex)
	}
	if _, err := index.Ask(t.Context(), s.nc, index.Query{}); !errors.Is(err, index.ErrNoNode) {
		t.Errorf("error %v", err)
	}
}

// TestCloseDuringQueries: queries that run when the index closes end like later ones, with ErrNoIndex.
func TestCloseDuringQueries(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	x, stop := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	waiting, release, err := x.Occupy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var raw *nats.Msg
	var rawErr, askErr, listErr error
	var under sync.WaitGroup
	under.Go(func() { raw, rawErr = s.nc.Request(index.Subject, nil, natstest.Patience) })
	under.Go(func() { _, askErr = index.Ask(t.Context(), s.nc, index.Query{}) })
	under.Go(func() { _, listErr = x.List(t.Context(), index.Query{}) })
	natstest.Eventually(t, "three queries are in progress", func() bool { return waiting() == 3 })
	stop()
	under.Wait()
	if rawErr != nil {
		t.Fatal(rawErr)
	}
	if code := raw.Header.Get("Nats-Service-Error-Code"); code != "503" {
		t.Errorf("answered with %s %s: want 503", code, raw.Header.Get("Nats-Service-Error"))
	}
	if !errors.Is(askErr, index.ErrNoNode) {
		t.Errorf("error %v: want %v", askErr, index.ErrNoNode)
	}
	if !errors.Is(listErr, index.ErrNoIndex) {
		t.Errorf("error %v: want %v", listErr, index.ErrNoIndex)
	}
}

// TestCloseDuringReads: the same while rows are read.
func TestCloseDuringReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := index.Fill(dir, 2000); err != nil {
		t.Fatal(err)
	}
	x, closes, err := index.Reader(dir)
	if err != nil {
		t.Fatal(err)
	}
	var querying, began sync.WaitGroup
	for range 4 {
		began.Add(1)
		querying.Go(func() {
			for first := true; ; first = false {
				// No row matches, so each of them is looked at.
				_, err := x.List(context.Background(), index.Query{Reason: "nothing has this"})
				if first {
					began.Done()
				}
				if err == nil {
					continue
				}
				if !errors.Is(err, index.ErrNoIndex) {
					t.Errorf("error %v: want %v", err, index.ErrNoIndex)
				}
				return
			}
		})
	}
	began.Wait()
	closes()
	querying.Wait()
}

// TestLargeReply: a reply that would exceed max_payload is cut, and the next page has the other orders.
func TestLargeReply(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	const orders = 700
	for i := range orders {
		s.attention(fmt.Sprintf("o-%d", i), strings.Repeat("\x01", 3000), strings.Repeat("<&>", 3000), time.Now())
	}
	x, _ := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	seen, pages := map[string]bool{}, 0
	for q := (index.Query{Limit: 1000}); ; pages++ {
		p, err := index.Ask(t.Context(), s.nc, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Orders {
			seen[o.OrderID] = true
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
	}
	if len(seen) != orders || pages < 2 {
		t.Errorf("%d orders on %d pages, want %d on several", len(seen), pages+1, orders)
	}
}

// TestJSON holds the stable form of a page.
func TestJSON(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.attention("o-1", "c-7", "no responders", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	x, _ := s.run(index.Config{Dir: t.TempDir(), Node: "n-1"})
	waitCaughtUp(t, x)
	p, err := x.List(context.Background(), index.Query{})
	if err != nil {
		t.Fatal(err)
	}
	p.Behind = 0
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"orders":[{"order_id":"o-1","customer_id":"c-7","status":"attention","step":"reserve_inventory","reason":"no responders",` +
		`"total":"19.00","currency":"EUR","plan":"sim v1","status_since":"2026-01-02T03:04:05.000000006Z","created_at":"2026-01-02T03:04:05.000000006Z","updated_at":"2026-01-02T03:04:05.000000006Z","sequence":1}],` +
		`"behind":0,"node":"n-1"}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
