package config

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// Expiry is the end of credentials for NATS.
type Expiry struct {
	// Variable that names them.
	Variable string
	// Issued and End bound their life.
	Issued, End time.Time
}

// Expiries reads when the credentials end. Those that do not end, and files that cannot be read, are left out.
func (c Config) Expiries() (all []Expiry) {
	if token, err := readJWT(c.NATSCreds); err == nil && token.Expires != 0 {
		all = append(all, Expiry{"NATS_CREDS", time.Unix(token.Issued, 0), time.Unix(token.Expires, 0)})
	}
	if cert, err := readCertificate(c.NATSTLSCert); err == nil {
		all = append(all, Expiry{"NATS_TLS_CERT", cert.NotBefore, cert.NotAfter})
	}
	return all
}

// expiry is that of the credentials of one variable; the zero time if they do not end.
func (c Config) expiry(variable string) time.Time {
	for _, e := range c.Expiries() {
		if e.Variable == variable {
			return e.End
		}
	}
	return time.Time{}
}

// userJWT are claims of a user, in seconds since 1970; 0: none.
type userJWT struct {
	Issued  int64 `json:"iat"`
	Expires int64 `json:"exp"`
}

var errNoUserJWT = errors.New("has no user JWT with its seed: want the file that `nsc generate creds` writes")

// readJWT reads the claims in a credentials file. Its error does not contain the name of the file, see checkReadable.
func readJWT(path string) (userJWT, error) {
	if err := checkReadable(path); err != nil {
		return userJWT{}, err
	}
	contents, err := os.ReadFile(path)
	if err != nil {
		return userJWT{}, errNoUserJWT
	}
	token, err := nkeys.ParseDecoratedJWT(contents)
	if err != nil {
		return userJWT{}, errNoUserJWT
	}
	pair, err := nkeys.ParseDecoratedUserNKey(contents)
	if err != nil {
		return userJWT{}, errNoUserJWT
	}
	pair.Wipe()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return userJWT{}, errNoUserJWT
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims userJWT
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return userJWT{}, errNoUserJWT
	}
	return claims, nil
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(path string) (*x509.Certificate, error) {
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(contents)
	if block == nil {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
