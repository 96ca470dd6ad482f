package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Timing of a connection. A lost server is detected within pingInterval × pingsOutstanding.
const (
	connectTimeout   = 5 * time.Second
	pingInterval     = 10 * time.Second
	pingsOutstanding = 3
	reconnectInitial = 50 * time.Millisecond
	reconnectMax     = 2 * time.Second
)

// NATSOptions returns the options of a connection: named after the node, authenticated, with unlimited reconnects. Nothing is
// buffered while disconnected: a publish fails at once, instead of being sent after its caller has counted it as failed. Credentials
// are not sent in the clear, see Dialer. Errors name the variable, never a secret.
func NATSOptions(c Config) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("orderly " + c.NodeID),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOutstanding),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(c.DrainTimeout),
		nats.CustomInboxPrefix(c.NATSInboxPrefix),
		nats.SetCustomDialer(Dialer(c, &net.Dialer{Timeout: connectTimeout}, nil)),
	}
	if c.NATSCreds != "" {
		if _, err := readJWT(c.NATSCreds); err != nil {
			return nil, fmt.Errorf("NATS_CREDS: credentials file %w", err)
		}
		options = append(options, nats.UserCredentials(c.NATSCreds)) // reads the file at each connect
	}
	if c.NATSNKey != "" {
		option, err := nkeyOption(c.NATSNKey)
		if err != nil {
			return nil, err
		}
		options = append(options, option)
	}
	if c.NATSTLSCA != "" || c.NATSTLSCert != "" {
		config, err := tlsConfig(c)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Secure(config))
		if c.NATSTLSCert != "" {
			options = append(options, nats.ClientCert(c.NATSTLSCert, c.NATSTLSKey)) // reads the files at each connect
		}
	}
	return options, nil
}

// JetStream is the client of the account and domain that has the streams.
func JetStream(c Config, nc *nats.Conn) (jetstream.JetStream, error) {
	switch {
	case c.NATSJSAPIPrefix != "":
		return jetstream.NewWithAPIPrefix(nc, c.NATSJSAPIPrefix)
	case c.NATSJSDomain != "":
		return jetstream.NewWithDomain(nc, c.NATSJSDomain)
	}
	return jetstream.New(nc)
}

// reconnectDelay spreads the reconnects of many nodes: full jitter up to a limit that doubles.
func reconnectDelay(attempts int) time.Duration {
	limit := reconnectMax
	if attempts < 6 {
		limit = min(reconnectMax, reconnectInitial<<max(attempts, 0))
	}
	return rand.N(limit) + time.Millisecond
}

// checkReadable returns why a file cannot be opened, without its name: a user may have put the secret itself in the place of the
// name.
func checkReadable(path string) error {
	f, err := os.Open(path)
	if err == nil {
		return f.Close()
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("cannot be opened: %w", err)
}

// nkeyOption takes a seed file, or a seed, which starts with SU.
func nkeyOption(value string) (nats.Option, error) {
	if !strings.HasPrefix(value, "SU") || checkReadable(value) == nil {
		if err := checkReadable(value); err != nil {
			return nil, fmt.Errorf("NATS_NKEY: seed file %w", err)
		}
		option, err := nats.NkeyOptionFromSeed(value)
		if err != nil {
			return nil, errors.New("NATS_NKEY: the file has no user seed: want one that starts with SU, as `nk -gen user` writes it")
		}
		return option, nil
	}
	pair, err := nkeys.FromSeed([]byte(value))
	if err != nil {
		return nil, errors.New("NATS_NKEY: not a valid user seed: copy it again, or give the path of a seed file")
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, errors.New("NATS_NKEY: the seed has no public key: create a new one")
	}
	return nats.Nkey(public, pair.Sign), nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.NATSTLSCA != "" {
		pem, err := os.ReadFile(c.NATSTLSCA)
		if err != nil {
			return nil, fmt.Errorf("NATS_TLS_CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("NATS_TLS_CA: %s has no PEM certificate", c.NATSTLSCA)
		}
	}
	if c.NATSTLSCert != "" {
		if _, err := tls.LoadX509KeyPair(c.NATSTLSCert, c.NATSTLSKey); err != nil {
			return nil, fmt.Errorf("NATS_TLS_CERT and NATS_TLS_KEY: %w", err)
		}
	}
	return config, nil
}
