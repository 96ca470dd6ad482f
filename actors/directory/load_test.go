package directory_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
)

// TestFields reads every field.
func TestFields(t *testing.T) {
	t.Setenv("SHOP_PASSWORD", "s3cret-password")
	dir := t.TempDir()
	write(t, dir, "key", "s3cret-key\r\n\n")
	write(t, dir, "token", "s3cret-token")
	d, err := directory.Load(write(t, dir, "downstreams.yaml", `
payments:
  url: https://payments.internal/v1
  headers:
    X-Api-Version: 7
    X-Api-Key: {file: key}
    X-Region: {env: SHOP_PASSWORD}
  bearer: {file: `+filepath.Join(dir, "token")+`}
  tls: {server_name: pay.example}
  proxy: http://proxy:3128
  limits: {concurrency: 64, rate: 200}
  circuit: {failure_rate: 0.3, min_calls: 20, window: 1m}
  rejects: [402, 409]
  key_lifetime: 72h
refunds:
  url: http://localhost/refunds
  basic: {user: shop, password: {env: SHOP_PASSWORD}}
  limits: {rate: 0.5}
  rejects: []
stock:
  nats: shop.stock
  headers: {X-Shop-Token: {file: token}}
`))
	if err != nil {
		t.Fatal(err)
	}
	e := d.Lookup("payments/capture")
	if l := e.Limits; l.GetConcurrency() != 64 || l.GetRate() != 200 {
		t.Errorf("limits %s", l)
	}
	if want := (directory.Circuit{FailureRate: .3, MinCalls: 20, Window: time.Minute}); e.Circuit != want {
		t.Errorf("circuit %+v", e.Circuit)
	}
	if !slices.Equal(e.Rejects, []int{402, 409}) || e.KeyLifetime != 72*time.Hour {
		t.Errorf("rejects %v, key_lifetime %s", e.Rejects, e.KeyLifetime)
	}
	if e.TLS().ServerName != "pay.example" || e.Proxy().String() != "http://proxy:3128" {
		t.Errorf("tls %v, proxy %s", e.TLS(), e.Proxy())
	}
	requireHeaders(t, e, http.Header{
		"X-Api-Version": {"7"}, "X-Api-Key": {"s3cret-key"}, "X-Region": {"s3cret-password"}, "Authorization": {"Bearer s3cret-token"},
	})
	e = d.Lookup("refunds/void")
	requireHeaders(t, e, http.Header{"Authorization": {"Basic c2hvcDpzM2NyZXQtcGFzc3dvcmQ="}})
	if l := e.Limits; l.GetConcurrency() != 256 || l.GetRate() != .5 || len(e.Rejects) != 0 || e.KeyLifetime != 24*time.Hour {
		t.Errorf("limits %s, rejects %v, key_lifetime %s", l, e.Rejects, e.KeyLifetime)
	}
	if e.TLS() != nil || e.Proxy() != nil {
		t.Error("it has TLS settings or a proxy")
	}
	e = d.Lookup("stock/reserve")
	requireHeaders(t, e, http.Header{"X-Shop-Token": {"s3cret-token"}})
	if e.Limits != nil || !slices.Equal(e.Rejects, []int{402, 422}) {
		t.Errorf("limits %s, rejects %v", e.Limits, e.Rejects)
	}
	requireHeaders(t, d.Lookup("https://elsewhere.example/"), http.Header{})
}

func requireHeaders(t *testing.T, e *directory.Entry, want http.Header) {
	t.Helper()
	got := http.Header{}
	e.Headers(got.Set)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: headers %v, want %v", e.Name, got, want)
	}
}

// TestProblems: each wrong value is reported with its line, entry and field, and with what is allowed, but not repeated if it
// may be a secret.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SHOP_CONTROL", "s3cret\x01")
	t.Setenv("SHOP_EMPTY", "\n")
	write(t, dir, "empty", "\n")
	write(t, dir, "control", "s3cret\nmore")
	write(t, dir, "large", strings.Repeat("s3cret", 4000))
	write(t, dir, "word.pem", "s3cret")
	const a = "a: {url: https://a, "
	for text, want := range map[string]string{
		"":                                       "it is empty: want name: {url: …} or name: {nats: …}, for each downstream",
		"# nothing":                              "it is empty",
		"{}":                                     "line 1: it has no downstreams",
		"- a":                                    "line 1: want name: {url: …}",
		"s3cret":                                 "line 1: want name: {url: …}",
		"a: {url: https://a}\n---\nb":            "more than one document",
		"a: [\n*s3cret":                          "it is neither YAML nor JSON",
		"a: [b\nc: d":                            "it is neither YAML nor JSON: see line 1",
		"A: {url: https://a}":                    `line 1: name "A": want 1–64 characters of a–z 0–9 _ - beginning with a letter`,
		"a: {url: https://a}\na: {nats: a}":      `line 2: "a" is given twice`,
		"a: s3cret":                              "line 1: a: want fields: url, nats, moved_from, headers",
		"a: {}":                                  "line 1: a: want exactly one of url and nats",
		"a: {url: https://a, nats: a}":           "a: want exactly one of url and nats",
		"a:\n  url: https://a\n  urls: x":        `line 3: a: field "urls" is unknown: want url, nats, moved_from, headers, bearer, basic, tls, proxy, limits, circuit, rejects, key_lifetime`,
		"a: {url: https://a, url: https://b}":    `a: "url" is given twice`,
		"a: {url: 7}":                            "a: url: want https://host/path or http://host/path",
		"a: {url: ''}":                           "a: url: is empty: want",
		"a: {url: 'nats://a'}":                   "a: url: want https://host/path or http://host/path, or the field nats",
		"a: {url: 'ftp://a'}":                    "a: url: target is not a valid URL: want http(s)://host",
		"a: {url: 'https://u:s3cret@a'}":         "a: url: target has credentials",
		"a: {url: 'https://a/b?api_key=s3cret'}": "a: url: want no query",
		"a: {url: 'https://a/b/../c'}":           "a: url: want no segment . or ..",
		"a: {nats: 'nats://a'}":                  "a: nats: want the beginning of a subject, such as shop.payments",
		"a: {nats: 'a.*'}":                       "a: nats: target: a NATS subject cannot contain",
		"a: {nats: ORDER}":                       "a: nats: target: NATS subject",
		a + "moved_from: s3cret}":                "a: moved_from: want a list of URLs, nats://subject or names",
		a + "moved_from: ['http://b?x=1']}":      "a: moved_from: want no query",
		a + "moved_from: ['https://A:443/']}":    "a: moved_from: https://A:443/ is an address of a already",
		a + "moved_from: [c]}\nb: {nats: b, moved_from: [c]}":                         "line 2: b: moved_from: c is a name of a already",
		a + "moved_from: [b]}\nb: {nats: b}":                                          "a: moved_from: b is a name of b already",
		a + "}\nb: {url: https://a/}":                                                 "line 2: b: url: https://a/ is an address of a already",
		a + "headers: s3cret}":                                                        "a: headers: want name: value, or name: {file: …} or {env: …}",
		a + "headers: {X-Api-Key: s3cret}}":                                           "a: headers.X-Api-Key: looks like a secret, which does not belong into this file: want {file: path} or {env: NAME}",
		a + "headers: {Authorization: Bearer s3cret}}":                                "a: headers.Authorization: looks like a secret",
		a + "headers: {Cookie: s3cret}}":                                              "a: headers.Cookie: looks like a secret",
		a + "headers: {X-Id: 9f86d081884c7d659a2feaas3cret}}":                         "a: headers.X-Id: looks like a secret",
		a + "headers: {'X Id': 1}}":                                                   `a: headers: name "X Id" of a header: want letters, digits and -`,
		a + "headers: {x-id: 1, X-Id: 2}}":                                            "a: headers.X-Id: header X-Id is set already",
		a + "headers: {X-Id: null}}":                                                  "a: headers.X-Id: want a text",
		a + `headers: {X-Id: "a\nb"}}`:                                                "a: headers.X-Id: want at most 8192 bytes without control characters",
		a + "headers: {X-Id: " + strings.Repeat("x", 8200) + "}}":                     "a: headers.X-Id: want at most 8192 bytes",
		a + "headers: {idempotency-key: x}}":                                          "a: headers: header idempotency-key is set by the engine",
		a + "headers: {Orderly-Attempt: x}}":                                          "a: headers: header Orderly-Attempt is set by the engine",
		a + "headers: {traceparent: x}}":                                              "a: headers: header traceparent is set by the engine",
		a + "bearer: s3cret}":                                                         "a: bearer: a secret does not belong into this file: want {file: path} or {env: NAME}",
		a + "bearer: 1234}":                                                           "a: bearer: a secret does not belong into this file",
		a + "bearer: [s3cret]}":                                                       "a: bearer: want fields: file, env",
		a + "bearer: {}}":                                                             "a: bearer: want {file: path} or {env: NAME}",
		a + "bearer: {file: token, env: SHOP_TOKEN}}":                                 "a: bearer.env: variable SHOP_TOKEN is empty",
		a + "bearer: {file: none}}":                                                   "a: bearer.file: open " + filepath.Join(dir, "none") + ": no such file or directory",
		a + "bearer: {file: empty}}":                                                  "a: bearer.file: " + filepath.Join(dir, "empty") + " is empty",
		a + "bearer: {file: control}}":                                                "control has control characters: want a single line of text",
		a + "bearer: {file: large}}":                                                  "large has more than 16386 bytes",
		a + "bearer: {env: SHOP_EMPTY}}":                                              "a: bearer.env: variable SHOP_EMPTY is empty",
		a + "bearer: {env: SHOP_CONTROL}}":                                            "a: bearer.env: variable SHOP_CONTROL has control characters",
		a + "basic: {user: shop}}":                                                    "a: basic: want user and password",
		a + "basic: {user: shop, password: s3cret}}":                                  "a: basic.password: a secret does not belong into this file",
		a + "basic: {user: 'a:b', password: {file: word.pem}}}":                       "a: basic.user: want no colon",
		a + "bearer: {file: word.pem}, basic: {user: a, password: {file: word.pem}}}": "a: basic: header Authorization is set already: want one of headers, bearer and basic",
		a + "tls: {ca: none}}":                                                        "a: tls: open " + filepath.Join(dir, "none"),
		a + "tls: {ca: word.pem}}":                                                    "word.pem has no PEM certificate",
		a + "tls: {cert: word.pem}}":                                                  "a: tls: want cert and key together",
		a + "tls: {cert: word.pem, key: word.pem}}":                                   "are no pair of a certificate and its key",
		"a: {url: http://a, tls: {server_name: a}}":                                   "a: tls needs a url that begins with https://",
		a + "proxy: 'http://u:s3cret@proxy'}":                                         "a: proxy: want http://host:port, https://host:port or socks5://host:port, without credentials",
		a + "proxy: proxy}":                                                           "a: proxy: want http://host:port",
		a + "limits: {concurrency: -1}}":                                              `a: limits.concurrency: "-1" is not a whole number from 0 to 1048576`,
		a + "limits: {rate: 1e-9}}":                                                   `a: limits.rate: "1e-9" is not calls per second: 0 (no limit), or 0.001 to 1000000`,
		a + "limits: {rate: many}}":                                                   "a: limits.rate: want calls per second",
		a + "circuit: {failure_rate: 0}}":                                             "a: circuit.failure_rate: \"0\" is not the share of failed calls",
		a + "circuit: {min_calls: 0}}":                                                "a: circuit.min_calls: \"0\" is not a whole number from 1 to",
		a + "circuit: {window: 1h}}":                                                  `a: circuit.window: "1h" is not a duration from 1s to 10m0s`,
		a + "circuit: {window: 10}}":                                                  "a: circuit.window: want a duration",
		a + "rejects: 402}":                                                           "a: rejects: want a list of statuses from 400 to 499",
		a + "rejects: [500]}":                                                         `a: rejects: "500" is not a whole number from 400 to 499`,
		a + "rejects: [401]}":                                                         "a: rejects: 401 never means a business no",
		a + "key_lifetime: 0s}":                                                       `a: key_lifetime: "0s" is not a duration from 1s to 87600h0m0s`,
		"a: {nats: a, bearer: {file: word.pem}}":                                      "a: bearer: is for url, and the downstream has nats",
		"a: {nats: a, tls: {server_name: a}}":                                         "a: tls: is for url, and the downstream has nats",
		"a: {nats: a, proxy: 'http://b:1'}":                                           "a: proxy: is for url",
	} {
		_, err := directory.Parse([]byte(text), dir)
		if !errors.Is(err, directory.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v\nwant %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s\nerror contains a secret: %v", text, err)
		}
	}
	if _, err := directory.Parse([]byte(strings.Repeat("#", 256<<10)+"\na: {nats: a}"), dir); err == nil || !strings.Contains(err.Error(), "more than 262144 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestAllProblemsAtOnce: the error has a line for each problem, in the order of the file.
func TestAllProblemsAtOnce(t *testing.T) {
	path := write(t, "", "downstreams.yaml", `a:
  url: https://a
  bearer: {file: none}
b: {nats: "b..c"}
c:
  nats: c
  limits: {rate: x}
  speed: 7
`)
	_, err := directory.Load(path)
	var invalid *directory.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var places []string
	for _, p := range invalid.Problems {
		places = append(places, fmt.Sprintf("%d %s %s", p.Line, p.Entry, p.Field))
	}
	if want := []string{"3 a bearer.file", "4 b nats", "7 c limits.rate", "8 c "}; !slices.Equal(places, want) {
		t.Errorf("problems at %q, want %q", places, want)
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, path+": file of downstreams is invalid: line ") {
			t.Errorf("line %q", line)
		}
	}
	var many strings.Builder
	for i := range 150 {
		fmt.Fprintf(&many, "s%d: {}\n", i)
	}
	_, err = directory.Parse([]byte(many.String()), "")
	if !errors.As(err, &invalid) || len(invalid.Problems) != 100 || invalid.More != 50 || !strings.HasSuffix(err.Error(), "and 50 more") {
		t.Errorf("%d problems and %d more", len(invalid.Problems), invalid.More)
	}
	if _, err := directory.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: no text makes the reader panic, and errors do not repeat a secret.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		shop, "a: {url: https://a, headers: {X-Key: {env: HOME}}, basic: {user: a, password: s3cret}}", "a: &x {nats: a, headers: *x}", "a: &x [*x]",
		"a: {url: https://a, bearer: s3cret, tls: {ca: x}, limits: {rate: .inf}, circuit: {window: 1m}, rejects: [402], key_lifetime: 1h, proxy: http://p}",
		"? [a]\n: b", "<<: {a: b}", "a: !!binary s3cret",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := directory.Parse(text, "/nonexistent")
		if (err == nil) == (d == nil) {
			t.Fatalf("directory %v, error %v", d, err)
		}
		if d == nil {
			return
		}
		for _, target := range []string{"a/b", "a", "https://a/b", "nats://a.b"} {
			address, e, err := d.Resolve(target)
			if e == nil || err == nil && !strings.HasPrefix(target, "a") && address == "" {
				t.Fatalf("%s: %q, %v, %v", target, address, e, err)
			}
			e.Headers(func(name, value string) {
				if strings.ContainsAny(name+value, "\r\n") {
					t.Fatalf("header %q: %q", name, value)
				}
			})
		}
	})
}
