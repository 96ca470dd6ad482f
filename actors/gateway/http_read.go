package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/orderly-engine/orderly/messages"
)

// readHTTP reads an HTTP answer and closes it.
func (p *pendingCall) readHTTP(answer *http.Response) (*messages.StepReply, error) {
	defer answer.Body.Close()
	a := &response{
		status:      answer.StatusCode,
		contentType: answer.Header.Get(messages.HeaderContentType),
		retryAfter:  answer.Header.Get("Retry-After"),
		location:    location(answer),
		limit:       p.set.cfg.MaxReply,
	}
	if a.status == http.StatusSwitchingProtocols {
		return p.read(a) // its body is the connection, which does not end with the call
	}
	head := *a
	p.head.Store(&head)
	a.body, a.cut = io.ReadAll(io.LimitReader(answer.Body, int64(a.limit)+1))
	p.set.cfg.Probe.received(p.call, a.status, answer.Header, a.body)
	if len(a.body) > a.limit {
		a.body, a.larger, a.cut = a.body[:a.limit], true, nil
	}
	return p.read(a)
}

// location returns where a redirect points to, without query and credentials, or nothing.
func location(answer *http.Response) string {
	if answer.StatusCode < 300 || answer.StatusCode > 399 {
		return ""
	}
	u, err := answer.Location()
	if err != nil {
		return ""
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return sanitize(bare.String(), maxReasonBytes)
}

// httpError returns the failure of a request without an answer.
func (p *pendingCall) httpError(err error) error {
	// The URL is left out: its query may hold a secret.
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	kind := messages.Transient
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var alert *net.OpError
	if errors.As(err, &certificate) || errors.As(err, &noTLS) || errors.As(err, &alert) && alert.Op == "remote error" {
		kind = messages.Setup
	}
	return fail(kind, p.sent.Load(), "call %s: %w", p.target.name, err)
}
