package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// prepare runs prepare.sh in a directory of its own, with the configuration beside it, and returns the directory.
func prepare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"prepare.sh", "nats.conf", "accounts.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, name)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second run keeps what the first made
		if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "prepare.sh")).CombinedOutput(); err != nil {
			t.Fatalf("prepare.sh, which needs openssl: %v\n%s", err, out)
		}
	}
	return dir
}

// made returns where prepare.sh makes a source, or the source.
func made(source, prepared string) string {
	if strings.HasPrefix(source, "./tls/") {
		return filepath.Join(prepared, source)
	}
	return source
}

// passwords sets the passwords of .env in the environment.
func passwords(t *testing.T, dir string) {
	t.Helper()
	for line := range strings.Lines(read(t, filepath.Join(dir, ".env"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		t.Setenv(name, value)
	}
}

func TestPrepareMakesSecrets(t *testing.T) {
	dir, other := prepare(t), prepare(t)
	if a, b := read(t, dir+"/.env"), read(t, other+"/.env"); a == b || len(regexp.MustCompile(`(?m)^ORDERLY_[A-Z]+_PASSWORD=p[0-9a-f]{32}$`).FindAllString(a, -1)) != 5 {
		t.Errorf("passwords:\n%s", a)
	}
	for name, mode := range map[string]os.FileMode{".env": 0o600, "tls": os.ModeDir | 0o700} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir + "/tls"); err != nil || len(left) != 3 {
		t.Errorf("tls has %v, %v: want the authority, the certificate and its key", left, err)
	}
}

// TestServerWithAccounts: a server with the configuration and one member serves the users over TLS, and nobody else.
func TestServerWithAccounts(t *testing.T) {
	dir := prepare(t)
	passwords(t, dir)
	t.Setenv("NATS_SERVER_NAME", "nats-1")
	path := filepath.Join(dir, "nats.conf")
	text := strings.ReplaceAll(read(t, path), "/etc/nats/", dir+"/tls/")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if opts.Cluster.TLSConfig.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Error("routes need no certificate")
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.StoreDir, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, 0, t.TempDir(), true
	opts.Cluster, opts.Routes = server.ClusterOpts{}, nil
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, dir+"/tls/ca.pem")))
	secure := nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots})
	for _, user := range []string{"engine", "operator", "service", "publisher", "viewer"} {
		nc, err := nats.Connect(s.ClientURL(), secure, nats.UserInfo(user, os.Getenv("ORDERLY_"+strings.ToUpper(user)+"_PASSWORD")))
		if err != nil {
			t.Errorf("%s: %v", user, err)
			continue
		}
		nc.Close()
	}
	for _, none := range []nats.Option{nats.UserInfo("engine", "wrong"), nats.UserInfo("", "")} {
		if nc, err := nats.Connect(s.ClientURL(), secure, none); err == nil {
			nc.Close()
			t.Error("connected without credentials")
		}
	}
}
