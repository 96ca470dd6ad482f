package config_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/config"
)

func TestRefusal(t *testing.T) {
	operator := natstest.NewOperator(t)
	_, seed := newUser(t)
	valid := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		environ string
		err     error
		want    string // empty: the error may go away
	}{
		{"NATS_URL=a", nats.ErrNoServers, ""},
		{"NATS_URL=a", nats.ErrTimeout, ""},
		{"NATS_URL=a", io.EOF, ""},
		{"NATS_CREDS=" + operator.Creds(time.Time{}), errors.New("nats: 'Authentication Timeout'"), ""},
		{"NATS_URL=a", nats.ErrAuthorization, "NATS at a asks for credentials"},
		{"NATS_CREDS=" + operator.Creds(valid), nats.ErrAuthExpired, "valid until " + valid.UTC().Format(time.RFC3339)},
		{"NATS_CREDS=" + operator.Creds(valid.Add(-2*time.Hour)), nats.ErrAuthExpired, "issue new ones"},
		{"NATS_CREDS=" + operator.Creds(valid), nats.ErrAccountAuthExpired, "NATS_CREDS"},
		{"NATS_CREDS=" + operator.Creds(valid), nats.ErrAuthRevoked, "not revoked"},
		{"NATS_NKEY=" + seed, nats.ErrAuthorization, "NATS_NKEY"},
		{"NATS_NKEY=" + seed, nats.ErrNkeysNotSupported, "NATS_NKEY"},
		{"NATS_URL=nats://bob:s3cret@a", nats.ErrAuthorization, "NATS at nats://***@a refuses the user"},
		{"NATS_URL=tls://a", nats.ErrSecureConnWanted, "no TLS"},
	} {
		err := config.Refusal(load(t, "NATS_URL=a", c.environ), c.err)
		switch {
		case c.want == "" && err == nil:
		case err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), seed):
			t.Errorf("%s, %v: got %v, want %q", c.environ, c.err, err, c.want)
		}
	}
}

func TestExpiries(t *testing.T) {
	operator, certificates := natstest.NewOperator(t), natstest.NewCertificates(t)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	cert, key := certificates.Client(end)
	dir := t.TempDir()
	for name, contents := range map[string][]byte{"cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, "NATS_URL=a", "NATS_CREDS="+operator.Creds(end), "NATS_TLS_CERT="+filepath.Join(dir, "cert"), "NATS_TLS_KEY="+filepath.Join(dir, "key"))
	got := c.Expiries()
	if len(got) != 2 || got[0].Variable != "NATS_CREDS" || got[1].Variable != "NATS_TLS_CERT" {
		t.Fatalf("got %+v", got)
	}
	for _, e := range got {
		if !e.End.Equal(end) || !e.Issued.Before(end) {
			t.Errorf("got %+v, want the end %s", e, end)
		}
	}
	if got := load(t, "NATS_URL=a", "NATS_CREDS="+operator.Creds(time.Time{})).Expiries(); len(got) != 0 {
		t.Errorf("credentials without end: %+v", got)
	}
}
