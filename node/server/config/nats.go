package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// How a connection is kept. A lost server is noticed after PingInterval × MaxPingsOutstanding at the latest.
const (
	connectTimeout   = 5 * time.Second
	pingInterval     = 10 * time.Second
	pingsOutstanding = 3
	reconnectInitial = 50 * time.Millisecond
	reconnectMax     = 2 * time.Second
)

// NATSOptions are the options of a connection as c asks for it: named after the node, authenticated, never giving up.
// Nothing is buffered while disconnected: a publish fails at once, so that its caller knows, rather than being sent
// after the caller has counted it as failed. Errors name the variable and never what a secret holds.
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
	}
	if c.NATSCreds != "" {
		if err := readable(c.NATSCreds); err != nil {
			return nil, fmt.Errorf("NATS_CREDS: credentials file %w", err)
		}
		options = append(options, nats.UserCredentials(c.NATSCreds))
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
	}
	return options, nil
}

// reconnectDelay spreads the nodes of a cluster that all lost the same server: full jitter under a doubling cap.
func reconnectDelay(attempts int) time.Duration {
	limit := reconnectMax
	if attempts < 6 {
		limit = min(reconnectMax, reconnectInitial<<max(attempts, 0))
	}
	return rand.N(limit) + time.Millisecond
}

// readable reports why a file cannot be read, without its name: the name of a secret's file may be the secret itself,
// put into the wrong variable.
func readable(path string) error {
	f, err := os.Open(path)
	if err == nil {
		return f.Close()
	}
	var wrong *os.PathError
	if errors.As(err, &wrong) {
		err = wrong.Err
	}
	return fmt.Errorf("cannot be opened: %w", err)
}

// nkeyOption takes a seed file, or the seed itself, which begins with SU.
func nkeyOption(value string) (nats.Option, error) {
	if !strings.HasPrefix(value, "SU") || readable(value) == nil {
		if err := readable(value); err != nil {
			return nil, fmt.Errorf("NATS_NKEY: seed file %w", err)
		}
		option, err := nats.NkeyOptionFromSeed(value)
		if err != nil {
			return nil, errors.New("NATS_NKEY: the file holds no user seed: want one that begins with SU, as `nk -gen user` writes it")
		}
		return option, nil
	}
	pair, err := nkeys.FromSeed([]byte(value))
	if err != nil {
		return nil, errors.New("NATS_NKEY: not a valid user seed: copy it again, or give the path of a seed file")
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, errors.New("NATS_NKEY: the seed gives no public key: create a new one")
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
			return nil, fmt.Errorf("NATS_TLS_CA: %s holds no PEM certificate", c.NATSTLSCA)
		}
	}
	if c.NATSTLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.NATSTLSCert, c.NATSTLSKey)
		if err != nil {
			return nil, fmt.Errorf("NATS_TLS_CERT and NATS_TLS_KEY: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
