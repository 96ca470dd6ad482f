package index_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/index"
)

// TestStopWithoutServer: Run ends soon without a connection, and with an unresponsive server.
func TestStopWithoutServer(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Millisecond
	for name, lose := range map[string]func(*testServer, *nats.Conn, *natstest.Blackhole){
		"disconnected": func(s *testServer, nc *nats.Conn, _ *natstest.Blackhole) {
			s.server.Stop()
			natstest.Eventually(s.t, "the connection is lost", func() bool { return !nc.IsConnected() })
		},
		"silent": func(_ *testServer, _ *nats.Conn, b *natstest.Blackhole) { b.Swallow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := newTestServer(t), natstest.NewBlackhole()
			nc := s.server.Connect(nats.SetCustomDialer(b), nats.ReconnectBufSize(-1))
			x, err := index.New(natstest.JetStream(t, nc), index.Config{Dir: t.TempDir(), Interval: interval})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ran := make(chan struct{})
			go func() { defer close(ran); x.Run(ctx) }()
			waitCaughtUp(t, x)
			lose(s, nc, b)
			// Reads have been without reply for several intervals.
			natstest.Eventually(t, "the index lags behind", func() bool { d, _ := x.Lag(); return d > 10*interval })
			began := time.Now()
			stop()
			<-ran
			// A drain waits for one second at most, and a read would wait for five.
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("Run returned after %s", took)
			}
		})
	}
}
