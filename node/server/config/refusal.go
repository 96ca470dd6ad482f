package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// authErrors are the refusals of credentials. nats.go names one for each, but compares the text of what a server answers.
var authErrors = []error{
	nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported,
	errors.New("nats: user authentication expired"), errors.New("nats: user authentication revoked"),
}

// Refusal explains an error of a connection that trying again does not mend: credentials are missing or refused, or would be sent
// without TLS. It says until when credentials held, and what to do, in one line. Any other error gives nil.
func Refusal(c Config, err error) error {
	var noTLS *noTLSError
	urls := RedactURLs(cmp.Or(c.NATSURL, nats.DefaultURL))
	switch {
	case errors.As(err, &noTLS):
		return noTLS
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("NATS at %s has no TLS, which NATS_URL, NATS_TLS_CA or NATS_TLS_CERT asks for: give the server a tls block", urls)
	case isTLSError(err) && ended(c.expiry("NATS_TLS_CERT")):
		return fmt.Errorf("NATS at %s refuses the certificate in NATS_TLS_CERT (%s): renew it: %w", urls, validity(c.expiry("NATS_TLS_CERT")), err)
	case !isAuthError(err):
		return nil
	case c.NATSCreds != "":
		end := c.expiry("NATS_CREDS")
		action := "check that they are for this server and not revoked"
		if ended(end) {
			action = "issue new ones"
		}
		return fmt.Errorf("NATS at %s refuses the credentials in NATS_CREDS (%s): %s: %w", urls, validity(end), action, err)
	case c.NATSNKey != "":
		return fmt.Errorf("NATS at %s refuses the nkey in NATS_NKEY: give its public key a user on the server: %w", urls, err)
	case c.hasUserInfo():
		return fmt.Errorf("NATS at %s refuses the user, password or token in NATS_URL: correct it: %w", urls, err)
	case c.NATSTLSCert != "":
		return fmt.Errorf("NATS at %s refuses the certificate in NATS_TLS_CERT (%s): give it a user on the server, or set NATS_CREDS: %w",
			urls, validity(c.expiry("NATS_TLS_CERT")), err)
	}
	return fmt.Errorf("NATS at %s asks for credentials: set NATS_CREDS or NATS_NKEY, or a user and a password in NATS_URL: %w", urls, err)
}

func isAuthError(err error) bool {
	for _, each := range authErrors {
		if errors.Is(err, each) {
			return true
		}
	}
	return false
}

// isTLSError reports whether the handshake failed. A server may refuse a client's certificate after it.
func isTLSError(err error) bool {
	var remote *net.OpError
	return errors.Is(err, nats.ErrTLS) || errors.As(err, &remote) && remote.Op == "remote error"
}

func ended(end time.Time) bool { return !end.IsZero() && !time.Now().Before(end) }

// validity says until when credentials hold, or held.
func validity(end time.Time) string {
	switch at := end.UTC().Format(time.RFC3339); {
	case end.IsZero():
		return "without expiry"
	case ended(end):
		return fmt.Sprintf("held until %s, %s ago", at, time.Since(end).Round(time.Second))
	default:
		return "valid until " + at
	}
}
