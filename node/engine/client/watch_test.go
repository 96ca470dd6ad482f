package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// watch starts a Watch of the orders.
func (w *testServer) watch(ids ...messages.OrderID) *client.Watch {
	w.Helper()
	watch, err := client.StartWatch(w.Context(), w.js)
	w.must(err)
	w.Cleanup(watch.Stop)
	for _, id := range ids {
		watch.Add(id)
	}
	return watch
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

func TestWatchCountsEnds(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	watch := w.watch("a", "b", "c", "d")
	for _, e := range []struct{ id, kinds string }{
		{"not-watched", "accepted,rejected"}, {"a", "accepted"}, {"a", "step_completed,completed"}, {"b", "accepted,rejected"}, {"c", "step_undone,cancelled"},
	} {
		w.appendKinds(e.id, e.kinds)
	}
	const want = "map[cancelled:1 completed:1 rejected:1], 1 open"
	natstest.Eventually(t, want, func() bool { return tally(watch) == want })
	if err := wait(t, watch, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for d ended with %v", err)
	}
	if open := watch.Open(5); len(open) != 1 || open[0] != "d" {
		t.Errorf("open: %v", open)
	}
	w.appendKinds("d", "completed")
	w.must(wait(t, watch, natstest.Patience))
}

// Kinds that contain the name of an end, or have it before another event, are not the end.
func TestWatchIgnoresOtherKinds(t *testing.T) {
	w := client.NewWatch()
	w.Add("a")
	for _, kinds := range []string{"step_completed", "step_rejected", "completed,recorded", ""} {
		w.Record("a", kinds)
	}
	if got := tally(w); got != "map[], 1 open" {
		t.Errorf("got %s", got)
	}
}

// An order that ended before it was added is found by a look-up.
func TestWatchFindsEarlierEnd(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.appendKinds("a", "completed")
	watch := w.watch("a")
	w.must(wait(t, watch, natstest.Patience))
	if got, want := tally(watch), "map[completed:1], 0 open"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Forget and the last end wake Wait at once, not at its next look-up.
func TestWatchWakes(t *testing.T) {
	for name, end := range map[string]func(*client.Watch){
		"forget": func(w *client.Watch) { w.Forget("a") },
		"end":    func(w *client.Watch) { w.Record("a", "completed") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := client.NewWatch()
				w.Add("a")
				ended := make(chan error, 1)
				go func() { ended <- w.Wait(t.Context()) }()
				synctest.Wait()
				began := time.Now()
				end(w)
				if err := <-ended; err != nil || time.Since(began) > 0 {
					t.Errorf("Wait returned %v after %s, want nil at once", err, time.Since(began))
				}
			})
		})
	}
}

// Wait continues while NATS is unreachable, and its error has the cause of the failed look-ups.
func TestWatchDuringOutage(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	watch := w.watch("a")
	w.server.Stop()
	// The first look-up starts after a second and fails within another one.
	err := wait(t, watch, 8*time.Second)
	if !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded { //nolint:errorlint // bare, it has no cause
		t.Errorf("error %v: want the deadline and the cause", err)
	}
}

// A consumer that is left behind would slow every append for minutes.
func TestWatchStopRemovesConsumer(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	watch, err := client.StartWatch(t.Context(), w.js)
	w.must(err)
	w.untilConsumers(1)
	watch.Stop()
	w.untilConsumers(0)
}

func TestWatchWithoutStream(t *testing.T) {
	if _, err := client.StartWatch(t.Context(), natstest.Start(t).JetStream()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("error %v, want %v", err, jetstream.ErrStreamNotFound)
	}
}
