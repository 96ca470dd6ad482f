package directory_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// authorization is the header of an entry now.
func authorization(e *directory.Entry) (value string) {
	e.Headers(func(name, v string) {
		if name == "Authorization" {
			value = v
		}
	})
	return value
}

func requireAuthorization(t *testing.T, e *directory.Entry, want string) {
	t.Helper()
	if got := authorization(e); got != "Bearer "+want {
		t.Errorf("got %q, want %q", got, "Bearer "+want)
	}
}

// withToken returns the entry of a file whose bearer token is in dir, and its log.
func withToken(t *testing.T, dir string) (*directory.Entry, *bytes.Buffer) {
	t.Helper()
	d, err := directory.Parse([]byte("payments: {url: https://pay.example, bearer: {file: token}}"), dir)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	return d.Lookup("payments"), &log
}

// TestSecretIsReadAgain: a changed file is used within a second, and at once after the service refused the last content.
func TestSecretIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "token", "first")
		e, log := withToken(t, dir)
		requireAuthorization(t, e, "first")
		write(t, dir, "token", "other") // as long as before, and perhaps in the same tick of the file system's clock
		time.Sleep(time.Second - 1)
		requireAuthorization(t, e, "first")
		time.Sleep(time.Nanosecond)
		requireAuthorization(t, e, "other")
		write(t, dir, "token", "third")
		requireAuthorization(t, e, "other")
		e.CredentialsRefused()
		requireAuthorization(t, e, "third")
		if log.Len() > 0 {
			t.Errorf("log: %s", log)
		}
	})
}

// TestMountedSecretIsReadAgain: Kubernetes replaces a mounted secret by a symbolic link to another directory.
func TestMountedSecretIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		publish := func(version, token string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, version), "token", token)
			if err := os.Symlink(version, filepath.Join(dir, "..next")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		publish("..1", "first")
		if err := os.Symlink("..data/token", filepath.Join(dir, "token")); err != nil {
			t.Fatal(err)
		}
		e, _ := withToken(t, dir)
		requireAuthorization(t, e, "first")
		publish("..2", "other")
		time.Sleep(time.Second)
		requireAuthorization(t, e, "other")
	})
}

// TestUnusableSecretKeepsTheLast: a file that vanished, or became invalid, is logged once, without its content.
func TestUnusableSecretKeepsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := write(t, dir, "token", "first")
		e, log := withToken(t, dir)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Second)
			requireAuthorization(t, e, "first")
		}
		write(t, dir, "token", "s3cret\nmore")
		time.Sleep(time.Second)
		requireAuthorization(t, e, "first")
		e.CredentialsRefused()
		requireAuthorization(t, e, "first")
		text := log.String()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "payments: bearer.file") || !strings.Contains(text, path) {
			t.Errorf("log: %s", text)
		}
		write(t, dir, "token", "other")
		time.Sleep(time.Second)
		requireAuthorization(t, e, "other")
		if text = log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "can be used again") || strings.Contains(text, "s3cret") {
			t.Errorf("log: %s", text)
		}
	})
}

// TestCertificatesAreReadAgain: the settings are another value once a file has changed, and only then.
func TestCertificatesAreReadAgain(t *testing.T) {
	ca := natstest.NewCertificates(t)
	other := natstest.NewCertificates(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put := func(name string, pem []byte) { write(t, dir, name, string(pem)) }
		put("ca.pem", ca.CA)
		put("cert.pem", ca.ClientCert)
		put("key.pem", ca.ClientKey)
		d, err := directory.Parse([]byte("payments: {url: https://pay.example, tls: {ca: ca.pem, cert: cert.pem, key: key.pem}}"), dir)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		d.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
		e := d.Lookup("payments")
		first := e.TLS()
		time.Sleep(time.Minute)
		if e.TLS() != first {
			t.Error("settings changed without a change of a file")
		}
		put("key.pem", other.ClientKey)
		time.Sleep(time.Second)
		if e.TLS() != first || !strings.Contains(log.String(), "no pair") {
			t.Errorf("a key without its certificate: log %s", &log)
		}
		put("cert.pem", other.ClientCert)
		put("ca.pem", other.CA)
		time.Sleep(time.Second)
		second := e.TLS()
		if second == first || second.RootCAs.Equal(first.RootCAs) || bytes.Equal(second.Certificates[0].Certificate[0], first.Certificates[0].Certificate[0]) {
			t.Error("the settings are those of the old files")
		}
	})
}

func TestConcurrentReads(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "first")
	e, _ := withToken(t, dir)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 200 {
				if got := authorization(e); got != "Bearer first" {
					t.Errorf("got %q", got)
				}
				e.CredentialsRefused()
			}
		})
	}
	readers.Wait()
}

// TestWarnings: set-ups that expose credentials are logged.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "closed", "s3cret")
	if err := os.Chmod(write(t, dir, "open", "s3cret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"url: http://pay.example, bearer: {file: closed}":                  "credentials cross the network unencrypted",
		"url: http://10.0.0.1, basic: {user: a, password: {file: closed}}": "credentials cross the network unencrypted",
		"url: http://pay.example, headers: {X-Key: {file: closed}}":        "credentials cross the network unencrypted",
		"url: https://pay.example, bearer: {file: open}":                   filepath.Join(dir, "open") + " can be read by every user",
		"url: http://pay.example, headers: {X-Version: 7}":                 "",
		"url: http://localhost:80, bearer: {file: closed}":                 "",
		"url: 'http://[::1]:80', bearer: {file: closed}":                   "",
		"url: http://pay.localhost, bearer: {file: closed}":                "",
		"url: https://pay.example, bearer: {file: closed}":                 "",
	} {
		d, err := directory.Parse(fmt.Appendf(nil, "payments: {%s}", text), dir)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		d.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.String(); (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: log %q, want %q", text, got, want)
		}
	}
	var none *directory.Directory
	none.LogTo(slog.Default())
}
