package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// TestWaitInAttention: Wait returns the order when a person must decide, also if that was long ago, and not because of an earlier
// attention that a stored message ends.
func TestWaitInAttention(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var broken atomic.Bool
	broken.Store(true)
	p := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{{
		Name: "charge", Retry: engine.Retry{Attempts: 1},
		Do: engine.Function(func(context.Context, *engine.Call) (any, error) {
			if broken.Load() {
				return nil, errors.New("card network is away")
			}
			return nil, nil
		}),
	}}}
	s.with(p, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		for range 2 {
			view, err := c.Wait(ctx, "o-1")
			if !errors.Is(err, client.ErrNeedsAttention) || !strings.Contains(err.Error(), "card network is away") {
				t.Fatalf("got %v, want %v and the cause", err, client.ErrNeedsAttention)
			}
			if view == nil || view.Status != "attention" {
				t.Fatalf("got %+v, want the order", view)
			}
		}
	})

	// While no node runs, the stored retry keeps Wait from returning.
	c, err := client.New(s.Connect())
	must(t, err)
	defer c.Close()
	must(t, c.Retry(t.Context(), "o-1"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx, "o-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}

	broken.Store(false)
	s.with(p, func(ctx context.Context, c *client.Client) {
		if view, err := c.Wait(ctx, "o-1"); err != nil || view.Status != "completed" {
			t.Errorf("got %+v, %v", view, err)
		}
	})
}
