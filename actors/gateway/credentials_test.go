package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// directoryWith returns the directory of a text, next to which the files are.
func directoryWith(t *testing.T, files map[string]string, text string) *directory.Directory {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
	}
	d, err := directory.Parse([]byte(text), dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCredentials: a service over TLS gets the credentials and headers of its entry, under its own URL and the former ones, and
// no other service does.
func TestCredentials(t *testing.T) {
	certificates := natstest.NewCertificates(t)
	var got atomic.Pointer[http.Request]
	service := func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Clone(t.Context()))
		_, _ = io.WriteString(w, `{"done":{}}`)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(service))
	s.TLS = certificates.Server(t, true)
	s.StartTLS()
	defer s.Close()
	other := httptest.NewServer(http.HandlerFunc(service))
	defer other.Close()
	t.Setenv("SHOP_KEY", "s3cret-key")
	d := directoryWith(t, map[string]string{
		"ca.pem": string(certificates.CA), "cert.pem": string(certificates.ClientCert), "key.pem": string(certificates.ClientKey), "token": "s3cret-token\n",
	}, `
payments:
  url: `+s.URL+`/v1
  moved_from: [`+other.URL+`/old, old]
  bearer: {file: token}
  headers: {X-Api-Key: {env: SHOP_KEY}, X-Api-Version: 7, User-Agent: shop}
  tls: {ca: ca.pem, cert: cert.pem, key: key.pem, server_name: pay.example}
refunds:
  url: `+other.URL+`/refunds
  basic: {user: shop, password: {env: SHOP_KEY}}
`)
	set := newSet(t, nil, gateway.Config{Directory: d})
	for target, path := range map[string]string{
		"payments/capture": "/v1/capture", "old/capture": "/v1/capture", s.URL + "/v1/capture": "/v1/capture",
		other.URL + "/old/capture?mode=fast": "/v1/capture?mode=fast",
	} {
		if _, err := callAndWait(t, set, call(target)); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		r := got.Load()
		h := r.Header
		if r.URL.String() != path || h.Get("Authorization") != "Bearer s3cret-token" || h.Get("X-Api-Key") != "s3cret-key" || h.Get("X-Api-Version") != "7" ||
			h.Get("User-Agent") != "shop" || h.Get("Idempotency-Key") != "o-1/wrap/do" {
			t.Errorf("%s: %s with %v", target, r.URL, h)
		}
		if len(r.TLS.PeerCertificates) != 1 || r.TLS.ServerName != "pay.example" {
			t.Errorf("%s: TLS with server name %q, %d certificates of the client", target, r.TLS.ServerName, len(r.TLS.PeerCertificates))
		}
	}
	for target, authorization := range map[string]string{"refunds/void": "Basic c2hvcDpzM2NyZXQta2V5", other.URL + "/else": ""} {
		if _, err := callAndWait(t, set, call(target)); err != nil {
			t.Fatal(err)
		}
		if h := got.Load().Header; h.Get("Authorization") != authorization || h.Get("X-Api-Key") != "" {
			t.Errorf("%s: %v", target, h)
		}
	}
	// A certificate of another authority, or for another name, is refused, and so is a client without one.
	for text, want := range map[string]string{
		"":                    "certificate signed by unknown authority",
		", tls: {ca: ca.pem}": "certificate required",
		", tls: {ca: ca.pem, server_name: stock.example, cert: cert.pem, key: key.pem}": "not stock.example",
	} {
		d := directoryWith(t, map[string]string{
			"ca.pem": string(certificates.CA), "cert.pem": string(certificates.ClientCert), "key.pem": string(certificates.ClientKey),
		}, "payments: {url: '"+s.URL+"'"+text+"}")
		_, err := callAndWait(t, newSet(t, nil, gateway.Config{Directory: d}), call("payments/x"))
		_ = requireFailure(t, err, messages.Setup, want)
	}
}

// TestRotatedCredentials: after a 401 the next call has the new token; after another certificate appeared, connections use it.
func TestRotatedCredentials(t *testing.T) {
	first, second := natstest.NewCertificates(t), natstest.NewCertificates(t)
	var valid atomic.Value
	valid.Store("Bearer first")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != valid.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"done":{"data":"`+r.TLS.PeerCertificates[0].Subject.CommonName+`"}}`)
	}))
	s.TLS, s.EnableHTTP2 = first.Server(t, true), true
	s.TLS.ClientCAs.AppendCertsFromPEM(second.CA)
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	put := func(name, content string) { writeFile(t, filepath.Join(dir, name), content) }
	put("ca.pem", string(first.CA))
	put("cert.pem", string(first.ClientCert))
	put("key.pem", string(first.ClientKey))
	put("token", "first")
	d, err := directory.Parse([]byte("payments: {url: '"+s.URL+"', bearer: {file: token}, tls: {ca: ca.pem, cert: cert.pem, key: key.pem}}"), dir)
	if err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nil, gateway.Config{Directory: d})
	if _, err := callAndWait(t, set, call("payments/x")); err != nil {
		t.Fatal(err)
	}
	put("token", "second")
	valid.Store("Bearer second")
	refused := 0
	for done := false; !done; {
		reply, err := callAndWait(t, set, call("payments/x"))
		if done = err == nil && reply.GetDone() != nil; !done {
			refused++
		}
		if refused > 1 {
			t.Fatalf("the call after a 401: %v, %v", reply, err)
		}
	}
	// The server trusts both authorities; the client's new certificate is the other one's.
	serials := func() string {
		var serial string
		for _, certificate := range d.Lookup("payments").TLS().Certificates {
			serial += string(certificate.Certificate[0])
		}
		return serial
	}
	before := serials()
	put("cert.pem", string(second.ClientCert))
	put("key.pem", string(second.ClientKey))
	natstest.Eventually(t, "the new certificate", func() bool {
		if _, err := callAndWait(t, set, call("payments/x")); err != nil {
			t.Fatal(err)
		}
		return serials() != before
	})
	// Another authority of the server ends calls that trust the first one only.
	put("ca.pem", string(second.CA))
	natstest.Eventually(t, "a refused certificate of the server", func() bool {
		_, err := callAndWait(t, set, call("payments/x"))
		return err != nil && strings.Contains(err.Error(), "unknown authority")
	})
}

// TestNATSHeaders: a service over NATS gets the headers of its entry, and the new content of their files after a 401.
func TestNATSHeaders(t *testing.T) {
	nc := connect(t)
	seen := make(chan nats.Header, 1)
	if _, err := nc.Subscribe("shop.stock.reserve.now", func(m *nats.Msg) {
		seen <- m.Header
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"401"}}})
	}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "token"), "first")
	d, err := directory.Parse([]byte("stock: {nats: shop.stock, headers: {X-Shop-Token: {file: token}}}"), dir)
	if err != nil {
		t.Fatal(err)
	}
	set := newSet(t, nc, gateway.Config{Directory: d})
	for _, want := range []string{"first", "second"} {
		_, err := callAndWait(t, set, call("stock/reserve/now"))
		_ = requireFailure(t, err, messages.Setup, "401")
		if h := natstest.Receive(t, seen, "the request"); h.Get("X-Shop-Token") != want || h.Get("Content-Type") == "" {
			t.Errorf("headers %v, want token %s", h, want)
		}
		writeFile(t, filepath.Join(dir, "token"), "second")
	}
}
