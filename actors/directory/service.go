package directory

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
)

// maxPEM is the size of the largest file of certificates or keys, in bytes.
const maxPEM = 1 << 20

// service is how an entry of the file is called.
type service struct {
	base    Address
	headers []*header
	// tls is nil for the defaults.
	tls *fileValue[*tls.Config]
	// proxy is nil for none.
	proxy *url.URL
}

// Headers calls set for each header field that a call of the downstream has besides those of its request. Values may be
// secret; they are read again when their files change.
func (e *Entry) Headers(set func(name, value string)) {
	if e.service == nil {
		return
	}
	for _, h := range e.service.headers {
		set(h.name, h.value())
	}
}

// CredentialsRefused has the files of secrets read again before the next call.
func (e *Entry) CredentialsRefused() {
	if e.service == nil {
		return
	}
	for _, h := range e.service.headers {
		if h.secret != nil {
			h.secret.expire()
		}
	}
	if e.service.tls != nil {
		e.service.tls.expire()
	}
}

// TLS returns the settings of connections to the downstream, or nil for the defaults. They are read-only, and another value
// once their files have changed.
func (e *Entry) TLS() *tls.Config {
	if e.service == nil || e.service.tls == nil {
		return nil
	}
	return e.service.tls.get()
}

// Proxy returns the URL of the proxy to the downstream, or nil.
func (e *Entry) Proxy() *url.URL {
	if e.service == nil {
		return nil
	}
	return e.service.proxy
}

// tlsFiles are the paths in the field tls of an entry.
type tlsFiles struct{ ca, cert, key, serverName string }

// paths lists the files.
func (t tlsFiles) paths() []string {
	var all []string
	for _, path := range []string{t.ca, t.cert, t.key} {
		if path != "" {
			all = append(all, path)
		}
	}
	return all
}

// config makes the settings of the files' contents, in the order of paths.
func (t tlsFiles) config(content [][]byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.serverName}
	if t.ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(content[0]) {
			return nil, errors.New(t.ca + " has no PEM certificate")
		}
		content = content[1:]
	}
	if t.cert != "" {
		pair, err := tls.X509KeyPair(content[0], content[1])
		if err != nil {
			return nil, errors.New(t.cert + " and " + t.key + " are no pair of a certificate and its key: " + err.Error())
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
