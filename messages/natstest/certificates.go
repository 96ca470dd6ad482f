package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Certificates are those of a certificate authority of its own, in PEM.
type Certificates struct {
	CA []byte
	// ServerCert is for 127.0.0.1, localhost and pay.example.
	ServerCert, ServerKey []byte
	ClientCert, ClientKey []byte

	issue func(number int64, name string, usage x509.ExtKeyUsage, end time.Time) (cert, key []byte)
}

// NewCertificates makes certificates that are valid in this century.
func NewCertificates(t testing.TB) Certificates {
	t.Helper()
	key := newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: firstDay, NotAfter: lastDay,
	}
	issue := func(c *x509.Certificate, of *ecdsa.PrivateKey) []byte {
		t.Helper()
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &of.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	c := Certificates{CA: issue(ca, key)}
	c.issue = func(number int64, name string, usage x509.ExtKeyUsage, end time.Time) (cert, keyPEM []byte) {
		t.Helper()
		of := newKey(t)
		der, err := x509.MarshalPKCS8PrivateKey(of)
		if err != nil {
			t.Fatal(err)
		}
		return issue(&x509.Certificate{
			SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", "pay.example"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotBefore: firstDay, NotAfter: end,
		}, of), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	c.ServerCert, c.ServerKey = c.issue(2, "test server", x509.ExtKeyUsageServerAuth, lastDay)
	c.ClientCert, c.ClientKey = c.Client(lastDay)
	return c
}

// Client issues another client certificate, which is valid until end.
func (c Certificates) Client(end time.Time) (cert, key []byte) {
	return c.issue(3, "test client", x509.ExtKeyUsageClientAuth, end)
}

// Tests with a clock of their own begin in 2000.
var (
	firstDay = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Server are the settings of a server that requires a client certificate of the same authority, if clients is true.
func (c Certificates) Server(t testing.TB, clients bool) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(c.ServerCert, c.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clients {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(c.CA)
	}
	return config
}
