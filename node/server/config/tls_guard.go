package config

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// noTLSError is the error about a server that would get credentials without TLS.
type noTLSError struct{ server net.Addr }

func (e *noTLSError) Error() string {
	return fmt.Sprintf("the NATS server at %s does not use TLS, and credentials are not sent beyond the loopback without it: "+
		"give the server a tls block, and use tls:// in NATS_URL", e.server)
}

// Dialer is dialer, which sends no credentials in the clear: if the configuration has some, nothing is sent to a server beyond the
// loopback before a TLS handshake, on any connection, to any server that the client learns of. A server sends its INFO first, which
// asks for TLS. refused, if not nil, is called with the error that the client gets.
func Dialer(c Config, dialer nats.CustomDialer, refused func(error)) nats.CustomDialer {
	if !c.hasCredentials() {
		return dialer
	}
	if refused == nil {
		refused = func(error) {}
	}
	return &tlsGuard{dialer, refused}
}

// hasCredentials reports whether a client sends something that it must keep secret, or that proves who it is.
func (c Config) hasCredentials() bool {
	return c.NATSCreds != "" || c.NATSNKey != "" || c.hasUserInfo()
}

// hasUserInfo reports whether a server's URL has a user, a password or a token.
func (c Config) hasUserInfo() bool { return strings.Contains(c.NATSURL, "@") }

type tlsGuard struct {
	dialer  nats.CustomDialer
	refused func(error)
}

func (g *tlsGuard) Dial(network, address string) (net.Conn, error) {
	conn, err := g.dialer.Dial(network, address)
	if err != nil || onLoopback(conn.RemoteAddr()) {
		return conn, err
	}
	return &guardedConn{Conn: conn, refused: g.refused}, nil
}

func onLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// guardedConn refuses to send anything but TLS.
type guardedConn struct {
	net.Conn
	refused func(error)
	secure  atomic.Bool
}

// recordHandshake is the first byte of a TLS handshake.
const recordHandshake = 22

func (c *guardedConn) Write(b []byte) (int, error) {
	if !c.secure.Load() && len(b) > 0 {
		if b[0] != recordHandshake {
			err := &noTLSError{c.RemoteAddr()}
			c.refused(err)
			_ = c.Close() // nats.go leaves a websocket open
			return 0, err
		}
		c.secure.Store(true)
	}
	return c.Conn.Write(b)
}
