package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// Run returns a second after the end of the drain, or after Close, although the server does not answer.
func TestStopWithASilentServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drain time.Duration
		close bool
		limit time.Duration
	}{
		"drain timeout": {drain: time.Second, limit: 2 * time.Second},
		"close":         {drain: time.Minute, close: true, limit: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, network := newServer(t), natstest.NewBlackhole()
			nc := s.Connect(nats.SetCustomDialer(network), nats.ReconnectBufSize(-1))
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
			natstest.Receive(t, calls, "the call of the step")
			network.Swallow()
			stop()
			if c.close {
				go e.Close()
			}
			receiveWithin(t, ended, c.limit+time.Second)
		})
	}
}

// receiveWithin fails unless nil is received within the limit. It counts short timers: on a busy machine they are late, as is
// everything else.
func receiveWithin(t *testing.T, from <-chan error, limit time.Duration) {
	t.Helper()
	const tick = 50 * time.Millisecond
	for range limit / tick {
		select {
		case err := <-from:
			if err != nil {
				t.Error(err)
			}
			return
		case <-time.After(tick):
		}
	}
	_ = natstest.Receive(t, from, "the end of Run")
	t.Errorf("it took longer than %s", limit)
}
