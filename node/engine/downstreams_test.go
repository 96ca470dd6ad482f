package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
)

func downstreams(t *testing.T, text string) *engine.Downstreams {
	t.Helper()
	d, err := engine.ParseDownstreams([]byte(text), t.TempDir())
	must(t, err)
	return d
}

// giftPlan is a plan of one step.
func giftPlan(target engine.URL) engine.Plan {
	return engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "wrap", Do: target, Timeout: 5 * time.Second, Retry: engine.Retry{Initial: 10 * time.Millisecond, Max: 10 * time.Millisecond, Attempts: 1000}},
	}}
}

// A plan that names a downstream which the program lacks stops the start.
func TestUnknownDownstreamStopsTheStart(t *testing.T) {
	s := newServer(t)
	for want, d := range map[string]*engine.Downstreams{
		"set ORDERLY_DOWNSTREAMS":                     nil,
		"the file of downstreams lacks: it has stock": downstreams(t, "stock: {nats: shop.stock}"),
	} {
		_, err := engine.New(t.Context(), s.Connect(), giftPlan("payments/wrap"), engine.Config{Downstreams: d})
		if !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), "step wrap: do: target names the downstream payments") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("New returned %v, want %q", err, want)
		}
	}
}

// An order whose pinned plan has the URL of a service that moved goes on after a restart with moved_from.
func TestOrderFollowsAServiceThatMoved(t *testing.T) {
	s := newServer(t)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	var key string
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.URL.Path + " " + r.Header.Get("Idempotency-Key")
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	defer moved.Close()
	p := giftPlan(engine.URL(dead.URL + "/gifts/wrap"))
	s.with(p, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		view := status(ctx, t, c, "parked")
		if !strings.Contains(view.WaitsFor, "connection refused") {
			t.Errorf("the order waits for %q", view.WaitsFor)
		}
	})
	d := downstreams(t, "gifts: {url: '"+moved.URL+"/v2', moved_from: ['"+dead.URL+"/gifts']}")
	s.withConfig(p, engine.Config{Downstreams: d}, func(ctx context.Context, c *client.Client) {
		if view, err := c.Wait(ctx, "o-1"); err != nil || view.Status != "completed" {
			t.Errorf("got %+v, %v", view, err)
		}
	})
	if key != "/v2/wrap o-1/wrap/do" {
		t.Errorf("the service got %s", key)
	}
}

// In a program without the downstream that the pinned plan of an order names, the order parks, with no attempt spent. It goes on
// in a program that has it, also under another name.
func TestOrderWaitsForANodeWithItsDownstream(t *testing.T) {
	s := newServer(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"done":{}}`
		if r.URL.Path == "/wrap" {
			answer = `{"pending":{"signal":"wrapped"}}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer service.Close()
	p := giftPlan("payments/wrap")
	p.Steps = append(p.Steps, engine.Step{Name: "send", Do: engine.URL("payments/send")})
	s.withConfig(p, engine.Config{Downstreams: downstreams(t, "payments: {url: '"+service.URL+"'}")}, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		status(ctx, t, c, "parked")
	})
	s.with(engine.Plan{Name: "other", Version: 1, Steps: []engine.Step{{Name: "print", Do: engine.URL("sim:")}}}, func(ctx context.Context, c *client.Client) {
		must(t, c.Signal(ctx, "o-1", "wrapped", nil))
		natstest.Eventually(t, "the order parks again", func() bool {
			view, err := c.Order(ctx, "o-1")
			return err == nil && strings.Contains(view.WaitsFor, "this node has no downstream payments")
		})
	})
	p = giftPlan("pay/wrap")
	p.Version = 2
	d := downstreams(t, "pay: {url: '"+service.URL+"', moved_from: [payments]}")
	s.withConfig(p, engine.Config{Downstreams: d}, func(ctx context.Context, c *client.Client) {
		must(t, c.Retry(ctx, "o-1")) // the timer takes up to half a minute
		view, err := c.Wait(ctx, "o-1")
		if err != nil || view.Status != "completed" || strings.Contains(kinds(view), "step_failed") {
			t.Errorf("got %+v, %v: want it completed without a failed attempt", view, err)
		}
	})
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Secrets of downstreams are in no stream and no log line, whatever the service answers.
func TestSecretsStayOut(t *testing.T) {
	s := newServer(t)
	const secret = "s3cret"
	var calls atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret || r.Header.Get("X-Api-Key") != secret {
			t.Errorf("headers %v", r.Header)
		}
		switch calls.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks
		case 3:
			w.WriteHeader(http.StatusUnauthorized)
		case 4:
			_, _ = io.WriteString(w, "<html>")
		default:
			_, _ = io.WriteString(w, `{"done":{}}`)
		}
	}))
	defer service.Close()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte(secret), 0o600))
	t.Setenv("SHOP_KEY", secret)
	file := filepath.Join(dir, "downstreams.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "payments: {url: '%s', bearer: {file: token}, headers: {X-Api-Key: {env: SHOP_KEY}}}", service.URL), 0o600))
	d, err := engine.LoadDownstreams(file)
	must(t, err)
	log := &lockedBuffer{}
	cfg := engine.Config{Downstreams: d, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s.withConfig(giftPlan("payments/wrap"), cfg, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		must(t, os.Remove(filepath.Join(dir, "token")))
		natstest.Eventually(t, "the order completes", func() bool {
			view, err := c.Order(ctx, "o-1")
			must(t, err)
			if view.Status == "attention" {
				must(t, c.Retry(ctx, "o-1"))
			}
			return view.Status == "completed"
		})
	})
	if strings.Contains(log.String(), secret) {
		t.Errorf("log: %s", log)
	}
	s.eachMessage(func(m jetstream.RawStreamMsg) {
		if strings.Contains(string(m.Data)+fmt.Sprint(m.Header), secret) {
			t.Errorf("%s: %q", m.Subject, m.Data)
		}
	})
}

// eachMessage calls f with every stored message of the engine's streams.
func (s *server) eachMessage(f func(jetstream.RawStreamMsg)) {
	s.t.Helper()
	seen := 0
	for _, name := range []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans, messages.StreamLedger} {
		stream, err := s.js.Stream(s.t.Context(), name)
		must(s.t, err)
		state := stream.CachedInfo().State
		for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
			if m, err := stream.GetMsg(s.t.Context(), sequence); err == nil {
				f(*m)
				seen++
			}
		}
	}
	if seen < 3 {
		s.t.Errorf("only %d messages are stored", seen)
	}
}
