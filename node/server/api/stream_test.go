package api_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/timeline"
)

const accept = "text/event-stream"

func TestStreamOfEndedOrder(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{})
	got := do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept)
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != accept {
		t.Fatalf("%s %s", got.Status, got.Header.Get("Content-Type"))
	}
	const want = `id: 7
event: accepted
data: {"number":1,"sequence":7,"time":"0001-01-01T00:00:00Z","node":"","kind":"accepted","summary":"","detail":{}}

event: step_completed
data: {"number":2,"sequence":9,"time":"0001-01-01T00:00:00Z","node":"","kind":"step_completed","summary":"","detail":{"step":"reserve_inventory"}}

id: 9
event: completed
data: {"number":2,"sequence":9,"time":"0001-01-01T00:00:00Z","node":"","kind":"completed","summary":"","detail":null}

`
	if got.body != want {
		t.Errorf("got\n%s\nwant\n%s", got.body, want)
	}
}

// A client that reconnects continues where it was, and gets 204 when the order has ended.
func TestStreamResumes(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{})
	got := do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", "text/html, "+accept+";q=0.9", "Last-Event-ID", "7")
	if got.StatusCode != 200 || strings.Contains(got.body, "id: 7") || !strings.Contains(got.body, "id: 9") {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	if got := do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept, "Last-Event-ID", "9"); got.StatusCode != http.StatusNoContent || got.body != "" {
		t.Errorf("%s: %q", got.Status, got.body)
	}
	do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept, "Last-Event-ID", "x").problem(t, 400, "Last-Event-ID")
}

func TestStreamRefuses(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	do(t, "GET", base+"/v1/orders/o-2/events", "", "Accept", accept).problem(t, 404, "o-2")
	do(t, "GET", base+"/v1/orders/o.2/events", "", "Accept", accept).problem(t, 400)
	do(t, "GET", base+"/v1/orders/o-1", "", "Accept", accept).success(t, 200) // streams nowhere else
	w.follow = func(context.Context, uint64, func([]timeline.Event) error) error { return errors.New("no responders") }
	do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept).problem(t, 503, "no responders")
	w.follow = func(context.Context, uint64, func([]timeline.Event) error) error { panic("boom") }
	do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept).problem(t, 503, "boom")
}

// open follows an order line by line.
func open(t *testing.T, base string) (lines *bufio.Scanner, body io.ReadCloser) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/orders/o-1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != 200 {
		t.Fatal(answer.Status)
	}
	return bufio.NewScanner(answer.Body), answer.Body
}

// until reads on to a line.
func until(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == want {
			return
		}
	}
	t.Fatalf("the stream ended before %q: %v", want, lines.Err())
}

// live follows the events of next.
func live(next <-chan []timeline.Event, gone chan<- struct{}) func(context.Context, uint64, func([]timeline.Event) error) error {
	return func(ctx context.Context, _ uint64, yield func([]timeline.Event) error) error {
		defer close(gone)
		for {
			select {
			case events, ok := <-next:
				if !ok {
					return nil
				}
				if err := yield(events); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func TestStreamLive(t *testing.T) {
	next, gone := make(chan []timeline.Event), make(chan struct{})
	base, _ := serve(t, &fakeBackend{follow: live(next, gone)}, api.Config{Heartbeat: 5 * time.Millisecond, Timeout: time.Millisecond})
	lines, _ := open(t, base) // headers come though no event does
	until(t, lines, ": alive")
	next <- storedEvents[:1]
	until(t, lines, "event: accepted")
	until(t, lines, ": alive")
	next <- storedEvents[1:]
	until(t, lines, "event: completed")
	close(next)
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	<-gone
}

// Without an event and long before a heartbeat the client has its headers.
func TestStreamBegins(t *testing.T) {
	gone := make(chan struct{})
	base, _ := serve(t, &fakeBackend{follow: live(make(chan []timeline.Event), gone)}, api.Config{Heartbeat: time.Hour})
	lines, _ := open(t, base)
	until(t, lines, ": following")
}

func TestStreamClientLeaves(t *testing.T) {
	next, gone := make(chan []timeline.Event), make(chan struct{})
	base, _ := serve(t, &fakeBackend{follow: live(next, gone)}, api.Config{Heartbeat: 5 * time.Millisecond})
	lines, body := open(t, base)
	until(t, lines, ": alive")
	_ = body.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the client has gone, and the order is still followed")
	}
}

// Streams end at once when the node stops, and do not delay it.
func TestStreamEndsAtShutdown(t *testing.T) {
	next, gone := make(chan []timeline.Event), make(chan struct{})
	base, a := serve(t, &fakeBackend{follow: live(next, gone)}, api.Config{Heartbeat: 5 * time.Millisecond})
	lines, _ := open(t, base)
	until(t, lines, ": alive")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-gone
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
}

func TestTooManyStreams(t *testing.T) {
	next, gone := make(chan []timeline.Event), make(chan struct{})
	base, _ := serve(t, &fakeBackend{follow: live(next, gone)}, api.Config{Heartbeat: 5 * time.Millisecond, MaxStreams: 1})
	lines, _ := open(t, base)
	until(t, lines, ": alive")
	do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept).problem(t, 503, "too many")
	do(t, "POST", base+"/v1/orders", sample).success(t, 202) // other requests have room of their own
	close(next)
	<-gone
}

// A stream outlives the timeouts of ordinary requests.
func TestStreamOutlivesTimeouts(t *testing.T) {
	next, gone := make(chan []timeline.Event), make(chan struct{})
	const bound = 2 * time.Second
	w := &fakeBackend{follow: live(next, gone)}
	a, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, api.Config{Addr: "127.0.0.1:0", Heartbeat: bound / 20})
	if err != nil {
		t.Fatal(err)
	}
	a.LimitConnections(bound)
	if err := a.Start(func(err error) { t.Errorf("serving failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	lines, _ := open(t, "http://"+a.Addr())
	for began := time.Now(); time.Since(began) < 2*bound; {
		until(t, lines, ": alive")
	}
	close(next)
	<-gone
}
