package embedded

import (
	"fmt"
	"net"

	"github.com/nats-io/nats.go"
)

// Connect connects this process to the server through its listener: for asynchronous publishes with acknowledgements loopback TCP
// is faster than the server's in-process pipe (see BenchmarkPublish).
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(s.URL(), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded server at %s: %w", s.Addr(), err)
	}
	return nc, nil
}

// Addr is the address in use, host:port.
func (s *Server) Addr() string { return s.addr.String() }

// URL is what clients on this machine connect to.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "nats://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "nats://" + s.Addr()
}
