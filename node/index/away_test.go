package index_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/node/index"
)

// hush is a network that falls silent when it is closed: the connection stays, and nothing comes from the server any more.
type hush chan struct{}

func (h hush) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &hushed{Conn: conn, hush: h, closed: make(chan struct{})}, nil
}

type hushed struct {
	net.Conn
	hush   hush
	once   sync.Once
	closed chan struct{}
}

func (c *hushed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.hush:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *hushed) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestStopWithoutServer: neither a server that is away nor one that says nothing holds up the end.
func TestStopWithoutServer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*site, *nats.Conn, hush){
		"away": func(s *site, nc *nats.Conn, _ hush) {
			s.server.Shutdown()
			until(s.t, "the connection is lost", func() bool { return !nc.IsConnected() })
		},
		"silent": func(_ *site, _ *nats.Conn, h hush) { close(h) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := newSite(t), make(hush)
			nc, err := nats.Connect(s.nc.ConnectedUrl(), nats.SetCustomDialer(h), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			x, err := index.New(nc, index.Config{Dir: t.TempDir()})
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
			if took := time.Since(began); took > 9*time.Second {
				t.Errorf("it ends after %s", took)
			}
		})
	}
}
