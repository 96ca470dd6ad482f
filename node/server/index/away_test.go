package index_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/internal/faultnet"
	"github.com/orderly-engine/orderly/node/server/index"
)

// TestStopWithoutServer: neither a server that is away nor one that says nothing holds up the end.
func TestStopWithoutServer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*site, *nats.Conn, faultnet.Hush){
		"away": func(s *site, nc *nats.Conn, _ faultnet.Hush) {
			s.server.Shutdown()
			until(s.t, "the connection is lost", func() bool { return !nc.IsConnected() })
		},
		"silent": func(_ *site, _ *nats.Conn, h faultnet.Hush) { close(h) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := newSite(t), make(faultnet.Hush)
			nc, err := nats.Connect(s.nc.ConnectedUrl(), nats.SetCustomDialer(h), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			x, err := index.New(natstest.JetStream(t, nc), index.Config{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ran := make(chan struct{})
			go func() { defer close(ran); x.Run(ctx) }()
			caughtUp(t, x)
			lose(s, nc, h)
			began := time.Now()
			stop()
			<-ran
			// The reader waits for five seconds at most, and a drain for ten.
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it ends after %s", took)
			}
		})
	}
}
