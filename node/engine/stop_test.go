package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// TestStopWithASilentServer: nothing the server owes holds up the end.
func TestStopWithASilentServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drain time.Duration
		abort bool
	}{"time-out": {time.Second, false}, "abort": {time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := newServer(t), natstest.NewBlackhole()
			nc := s.Connect(nats.SetCustomDialer(b), nats.ReconnectBufSize(-1))
			calls := make(chan struct{}, 100)
			if _, err := s.js.Conn().Subscribe("slow.do", func(*nats.Msg) { calls <- struct{}{} }); err != nil {
				t.Fatal(err)
			}
			p := engine.Plan{Name: "slow", Version: 1, Steps: []engine.Step{{Name: "wait", Do: engine.URL("nats://slow.do")}}}
			e, err := engine.New(t.Context(), nc, p, engine.Config{AckWait: natstest.Patience, DrainTimeout: c.drain})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			s.publish(created("o-1"))
			<-calls
			b.Swallow()
			began := time.Now()
			stop()
			if c.abort {
				e.Close()
			}
			select {
			case err := <-ended:
				if took := time.Since(began); err != nil || took > 9*time.Second {
					t.Errorf("%v after %s", err, took)
				}
			case <-time.After(natstest.Patience):
				t.Fatal("it does not stop")
			}
		})
	}
}
