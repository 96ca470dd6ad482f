package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// journal is a server with the streams and nobody who writes to them but the test.
type journal struct {
	server *embedded.Server
	js     jetstream.JetStream
}

func open(t *testing.T) *journal {
	t.Helper()
	server, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return &journal{server, js}
}

func (j *journal) streams(t *testing.T) {
	t.Helper()
	if err := ingress.EnsureStreams(t.Context(), j.js, ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
}

func (j *journal) append(t *testing.T, id, kinds string) {
	t.Helper()
	m := nats.NewMsg(messages.SubjectEvent + id)
	m.Header.Set(messages.HeaderEvent, kinds)
	if _, err := j.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func startWatch(t *testing.T, j *journal) *client.Watch {
	t.Helper()
	w, err := client.StartWatch(t.Context(), j.js)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func wait(t *testing.T, w *client.Watch, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return w.Wait(ctx)
}

func tally(w *client.Watch) string {
	ended, open := w.Tally()
	return fmt.Sprintf("%v, %d open", ended, open)
}

func TestEnds(t *testing.T) {
	j := open(t)
	j.streams(t)
	w := startWatch(t, j)
	for _, id := range []string{"a", "b", "c", "d"} {
		w.Add(messages.OrderID(id))
	}
	j.append(t, "stranger", "accepted,rejected")
	j.append(t, "a", "accepted")
	j.append(t, "a", "step_completed,completed")
	j.append(t, "b", "accepted,rejected")
	j.append(t, "c", "step_undone,cancelled")
	const want = "map[cancelled:1 completed:1 rejected:1], 1 open"
	for end := time.Now().Add(patience); tally(w) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %s\nwant %s", tally(w), want)
		}
	}
	if err := wait(t, w, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for d ended with %v", err)
	}
	if open := w.Open(5); len(open) != 1 || open[0] != "d" {
		t.Errorf("open: %v", open)
	}
	j.append(t, "d", "completed")
	if err := wait(t, w, patience); err != nil {
		t.Error(err)
	}
}

// TestNeitherKindIsAnEnd: an event whose name contains that of an end is none.
func TestNeitherKindIsAnEnd(t *testing.T) {
	j := open(t)
	j.streams(t)
	w := startWatch(t, j)
	w.Add("a")
	for _, kinds := range []string{"step_completed", "step_rejected", "completed,recorded", ""} {
		j.append(t, "a", kinds)
	}
	if err := wait(t, w, 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the wait ended with %v", err)
	}
}

// TestEndedBefore: the feed says nothing about an order that had ended; it is looked up.
func TestEndedBefore(t *testing.T) {
	j := open(t)
	j.streams(t)
	j.append(t, "a", "completed")
	w := startWatch(t, j)
	w.Add("a")
	if err := wait(t, w, patience); err != nil {
		t.Fatal(err)
	}
	if got, want := tally(w), "map[completed:1], 0 open"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestForget(t *testing.T) {
	j := open(t)
	j.streams(t)
	w := startWatch(t, j)
	w.Add("a")
	done := make(chan error, 1)
	go func() { done <- wait(t, w, patience) }()
	w.Forget("a")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := wait(t, w, time.Second); err != nil {
		t.Errorf("waiting for nothing: %v", err)
	}
}

// TestOutage: a NATS that goes away is waited for, and told about at the end.
func TestOutage(t *testing.T) {
	j := open(t)
	j.streams(t)
	w := startWatch(t, j)
	w.Add("a")
	j.server.Shutdown()
	// A look after a second fails within another one.
	err := wait(t, w, 8*time.Second)
	if !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded { //nolint:errorlint // bare, it does not say why
		t.Errorf("error %v: want that the time is over, and why nothing was seen", err)
	}
}

func TestNoStream(t *testing.T) {
	j := open(t)
	if _, err := client.StartWatch(t.Context(), j.js); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("error %v: want that there is no stream", err)
	}
}
