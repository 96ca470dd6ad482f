package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/orderly-engine/orderly/node/server/config"
)

// options applies what NATSOptions gives.
func options(t *testing.T, c config.Config) nats.Options {
	t.Helper()
	list, err := config.NATSOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	o := nats.GetDefaultOptions()
	for _, set := range list {
		if err := set(&o); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestNATSOptions(t *testing.T) {
	o := options(t, load(t, "ORDERLY_NODE_ID=n1", "ORDERLY_DRAIN_TIMEOUT=3s"))
	if o.Name != "orderly n1" || o.MaxReconnect != -1 || o.ReconnectBufSize != -1 || !o.IgnoreAuthErrorAbort || o.DrainTimeout != 3*time.Second {
		t.Errorf("got %+v", o)
	}
	for attempts := range 100 {
		if d := o.CustomReconnectDelayCB(attempts); d <= 0 || d > 2*time.Second+time.Millisecond || attempts == 0 && d > 51*time.Millisecond {
			t.Errorf("attempt %d after %s", attempts, d)
		}
	}
}

func newUser(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return pair, string(seed)
}

func TestNATSNKey(t *testing.T) {
	pair, seed := newUser(t)
	public, _ := pair.PublicKey()
	file := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, []byte(seed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{seed, file} {
		o := options(t, load(t, "NATS_URL=a", "NATS_NKEY="+value))
		signature, err := o.SignatureCB([]byte("nonce"))
		if o.Nkey != public || err != nil || pair.Verify([]byte("nonce"), signature) != nil {
			t.Errorf("nkey %q, signature error %v", o.Nkey, err)
		}
	}
}

func TestNATSOptionsRefuse(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{
		"NATS_CREDS=" + dir + "/s3cret", "NATS_CREDS=" + empty, "NATS_NKEY=SUs3cret", "NATS_NKEY=/s3cret", "NATS_NKEY=" + empty, "NATS_TLS_CA=" + dir + "/none", "NATS_TLS_CA=" + empty,
	} {
		name, _, _ := strings.Cut(wrong, "=")
		_, err := config.NATSOptions(load(t, "NATS_URL=a", wrong))
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if _, err := config.NATSOptions(load(t, "NATS_URL=a", "NATS_TLS_CERT="+empty, "NATS_TLS_KEY="+empty)); err == nil || !strings.Contains(err.Error(), "NATS_TLS_CERT") {
		t.Errorf("got %v", err)
	}
}
