package natstest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Operator issues credentials for the one account of its servers.
type Operator struct {
	t       testing.TB
	account nkeys.KeyPair
	// Trusted makes a server accept the operator's credentials, and no client without.
	Trusted Option
}

// NewOperator makes an operator with an account that has JetStream.
func NewOperator(t testing.TB) *Operator {
	t.Helper()
	operator, _ := newPair(t, nkeys.CreateOperator)
	system, systemKey := newPair(t, nkeys.CreateAccount)
	account, accountKey := newPair(t, nkeys.CreateAccount)
	claims := jwt.NewOperatorClaims(mustString(t, operator.PublicKey))
	claims.SystemAccount = systemKey
	operatorJWT := mustString(t, func() (string, error) { return claims.Encode(operator) })
	trusted, err := jwt.DecodeOperatorClaims(operatorJWT)
	if err != nil {
		t.Fatal(err)
	}
	accounts := map[string]string{}
	for key, pair := range map[string]nkeys.KeyPair{systemKey: system, accountKey: account} {
		c := jwt.NewAccountClaims(key)
		if pair == account {
			c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		}
		accounts[key] = mustString(t, func() (string, error) { return c.Encode(operator) })
	}
	return &Operator{t: t, account: account, Trusted: func(o *server.Options) {
		resolver := &server.MemAccResolver{}
		for key, token := range accounts {
			if err := resolver.Store(key, token); err != nil {
				t.Error(err)
			}
		}
		o.TrustedOperators, o.SystemAccount, o.AccountResolver = []*jwt.OperatorClaims{trusted}, systemKey, resolver
	}}
}

// Creds writes the credentials of a new user, which hold until end; the zero time: without end. It returns their file.
func (o *Operator) Creds(end time.Time) string {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "user.creds")
	o.WriteCreds(path, end)
	return path
}

// WriteCreds replaces the file with the credentials of another user.
func (o *Operator) WriteCreds(path string, end time.Time) {
	o.t.Helper()
	user, key := newPair(o.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(key)
	if !end.IsZero() {
		claims.Expires = end.Unix()
	}
	token := mustString(o.t, func() (string, error) { return claims.Encode(o.account) })
	seed, err := user.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	contents, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", contents, 0o600); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		o.t.Fatal(err)
	}
}

func newPair(t testing.TB, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair, mustString(t, pair.PublicKey)
}

func mustString(t testing.TB, f func() (string, error)) string {
	t.Helper()
	s, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
