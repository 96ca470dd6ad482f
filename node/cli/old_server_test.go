package cli

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// startServer211 starts a server that calls itself 2.11.10, and whose JetStream has no streams and the API of that version.
func startServer211(t *testing.T) (url string) {
	t.Helper()
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	_, err := nc.Subscribe("$JS.API.>", func(m *nats.Msg) {
		reply := `{"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}`
		if m.Subject == "$JS.API.INFO" {
			reply = `{"api": {"level": 1}}`
		}
		_ = m.Respond([]byte(reply))
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var relays sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); s.Stop(); relays.Wait() })
	relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			relays.Go(func() { relayAs211(client, s.Addr().String()) })
		}
	})
	return "nats://" + l.Addr().String()
}

// relayAs211 joins a client to the server, and replaces the version that the server states.
func relayAs211(client net.Conn, address string) {
	defer client.Close()
	upstream, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	}()
	for r := bufio.NewReader(upstream); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "INFO ") {
			line = strings.Replace(line, `"version":"`+server.VERSION+`"`, `"version":"2.11.10"`, 1)
		}
		if _, err := io.WriteString(client, line); err != nil {
			return
		}
	}
}

// TestOldServerStopsTheStart: a node on a server that is too old ends with one line, before it tries anything else.
func TestOldServerStopsTheStart(t *testing.T) {
	t.Parallel()
	p := startNoWait(t, nil, "NATS_URL="+startServer211(t))
	code := p.wait(t)
	if line := lastLine(p.err.String()); code != exitFailed || !strings.Contains(line, "found 2.11.10, want 2.12.0 or later on every server") {
		t.Errorf("exit code %d: %s", code, p.err)
	}
	if strings.Contains(p.err.String(), "level\":\"WARN") {
		t.Errorf("the log has warnings: %s", p.err)
	}
}
