package config_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/config"
)

// elsewhere dials, and calls the peer an address beyond the loopback.
type elsewhere struct{}

func (elsewhere) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return remoteConn{conn}, err
}

type remoteConn struct{ net.Conn }

func (remoteConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4222} }

// connect connects with the options of c and that dialer.
func connect(t *testing.T, c config.Config, dialer nats.CustomDialer, more ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	opts, err := config.NATSOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.NATSURL, append(append(opts, nats.SetCustomDialer(config.Dialer(c, dialer, nil))), more...)...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

// credentials are one of each kind.
func credentials(t *testing.T) map[string][]string {
	t.Helper()
	_, seed := newUser(t)
	return map[string][]string{
		"password": {"NATS_URL=nats://bob:s3cret@HOST"}, "token": {"NATS_URL=s3cret@HOST"}, "second": {"NATS_URL=nats://HOST,nats://bob:s3cret@HOST"},
		"nkey": {"NATS_URL=nats://HOST", "NATS_NKEY=" + seed}, "creds": {"NATS_URL=nats://HOST", "NATS_CREDS=" + natstest.NewOperator(t).Creds(time.Time{})},
		"websocket": {"NATS_URL=ws://bob:s3cret@HOST"},
	}
}

func loadFor(t *testing.T, host string, environ []string) config.Config {
	t.Helper()
	var resolved []string
	for _, e := range environ {
		resolved = append(resolved, strings.ReplaceAll(e, "HOST", host))
	}
	return load(t, resolved...)
}

// TestNoCredentialsWithoutTLS: a server beyond the loopback that asks for credentials and not for TLS gets not one byte.
func TestNoCredentialsWithoutTLS(t *testing.T) {
	for name, environ := range credentials(t) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan int, 2)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, `INFO {"server_id":"x","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576,"auth_required":true,"nonce":"abcdefgh"}`+"\r\n")
				b, _ := io.ReadAll(bufio.NewReader(conn))
				received <- len(b)
				_ = conn.Close()
			}
		}()
		c := loadFor(t, l.Addr().String(), environ)
		_, err = connect(t, c, elsewhere{})
		if refused := config.Refusal(c, err); refused == nil || !strings.Contains(refused.Error(), "at 192.0.2.1:4222 does not use TLS") || strings.Contains(refused.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		if n := natstest.Receive(t, received, "the end of the connection"); n != 0 {
			t.Errorf("%s: the server got %d bytes", name, n)
		}
		_ = l.Close()
	}
}

// TestTLSGuardLetsOthersPass: TLS beyond the loopback, no credentials, and the loopback.
func TestTLSGuardLetsOthersPass(t *testing.T) {
	certificates := natstest.NewCertificates(t)
	ca := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(ca, certificates.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	open := natstest.Start(t)
	plain := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "bob", "s3cret" })
	secure := natstest.Start(t, func(o *server.Options) {
		o.Username, o.Password = "bob", "s3cret"
		o.TLS, o.TLSConfig = true, certificates.Server(t, false)
	})
	withPassword := func(s *natstest.Server) string {
		return strings.Replace(s.ClientURL(), "://", "://bob:s3cret@", 1)
	}
	for name, c := range map[string]struct {
		environ []string
		dialer  nats.CustomDialer
	}{
		"TLS that the server asks for": {[]string{"NATS_URL=" + strings.Replace(withPassword(secure), "tls://", "nats://", 1), "NATS_TLS_CA=" + ca}, elsewhere{}},
		"tls://":                       {[]string{"NATS_URL=" + strings.Replace(withPassword(secure), "nats://", "tls://", 1), "NATS_TLS_CA=" + ca}, elsewhere{}},
		"no credentials":               {[]string{"NATS_URL=" + open.ClientURL()}, elsewhere{}},
		"the loopback":                 {[]string{"NATS_URL=" + withPassword(plain)}, new(net.Dialer)},
	} {
		nc, err := connect(t, load(t, c.environ...), c.dialer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := nc.Flush(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReconnectWithoutTLS: a server that loses its TLS gets no credentials at a reconnect either, and the node learns of it.
func TestReconnectWithoutTLS(t *testing.T) {
	certificates := natstest.NewCertificates(t)
	ca := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(ca, certificates.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	port := natstest.FreePort(t)
	password := func(o *server.Options) { o.Username, o.Password, o.Port = "bob", "s3cret", port }
	secure := natstest.Start(t, password, func(o *server.Options) { o.TLS, o.TLSConfig = true, certificates.Server(t, false) })
	c := load(t, "NATS_URL=nats://bob:s3cret@"+secure.Addr().String(), "NATS_TLS_CA="+ca)
	c.NATSTLSCA = "" // TLS only because the server asks for it
	refused := make(chan error, 1)
	guard := config.Dialer(c, elsewhere{}, func(err error) {
		select {
		case refused <- err:
		default:
		}
	})
	nc, err := connect(t, c, elsewhere{}, nats.SetCustomDialer(guard), nats.RootCAs(ca), func(o *nats.Options) error {
		o.Secure = false
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	secure.Stop()
	natstest.Start(t, password)
	if err := config.Refusal(c, natstest.Receive(t, refused, "a refusal")); err == nil || nc.IsConnected() {
		t.Errorf("got %v, connected %t", err, nc.IsConnected())
	}
}
