package directory_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/directory"
)

// write writes a file into a directory of the test, or into dir, and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t testing.TB, text string) *directory.Directory {
	t.Helper()
	d, err := directory.Parse([]byte(text), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const shop = `
payments:
  url: https://Payments.internal:443/v1/
  moved_from: [http://old-payments:8080, nats://legacy.pay, pay]
refunds:
  url: https://payments.internal/v1/refunds
stock:
  nats: shop.stock
  moved_from: [http://stock.example/api]
`

func TestResolve(t *testing.T) {
	d := parse(t, shop)
	for target, want := range map[string]struct{ address, name string }{
		// by name
		"payments/capture":              {"https://Payments.internal:443/v1/capture", "payments"},
		"payments/capture/now?mode=a+b": {"https://Payments.internal:443/v1/capture/now?mode=a+b", "payments"},
		"payments":                      {"https://Payments.internal:443/v1", "payments"},
		"payments/":                     {"https://Payments.internal:443/v1/", "payments"},
		"payments/a%20b":                {"https://Payments.internal:443/v1/a%20b", "payments"},
		"pay/capture":                   {"https://Payments.internal:443/v1/capture", "payments"},
		"stock/reserve":                 {"nats://shop.stock.reserve", "stock"},
		"stock/eu/reserve":              {"nats://shop.stock.eu.reserve", "stock"},
		"stock":                         {"nats://shop.stock", "stock"},
		// by URL
		"https://payments.internal/v1/capture":       {"https://Payments.internal:443/v1/capture", "payments"},
		"https://payments.internal/v1":               {"https://Payments.internal:443/v1", "payments"},
		"https://payments.internal/v1?a=b":           {"https://Payments.internal:443/v1?a=b", "payments"},
		"https://payments.internal/v1/refunds/void":  {"https://payments.internal/v1/refunds/void", "refunds"},
		"https://payments.internal/v1/refundsx":      {"https://Payments.internal:443/v1/refundsx", "payments"},
		"nats://shop.stock.reserve":                  {"nats://shop.stock.reserve", "stock"},
		"http://old-payments:8080/capture?mode=fast": {"https://Payments.internal:443/v1/capture?mode=fast", "payments"},
		"http://OLD-payments:8080":                   {"https://Payments.internal:443/v1", "payments"},
		"nats://legacy.pay.capture.now":              {"https://Payments.internal:443/v1/capture/now", "payments"},
		"http://stock.example/api/reserve":           {"nats://shop.stock.reserve", "stock"},
		// not under an entry
		"https://payments.internal/v10/capture":             {"https://payments.internal/v10/capture", "https://payments.internal"},
		"https://payments.internal:8443/v1/capture":         {"https://payments.internal:8443/v1/capture", "https://payments.internal:8443"},
		"http://payments.internal/v1/capture":               {"http://payments.internal/v1/capture", "http://payments.internal"},
		"https://payments.internal/v1/../admin":             {"https://payments.internal/v1/../admin", "https://payments.internal"},
		"https://payments.internal/v1/%2e%2e/admin":         {"https://payments.internal/v1/%2e%2e/admin", "https://payments.internal"},
		"https://payments.internal.evil.example/v1/capture": {"https://payments.internal.evil.example/v1/capture", "https://payments.internal.evil.example"},
		"https://payments.internal@evil.example/v1/capture": {"https://payments.internal@evil.example/v1/capture", "https://evil.example"},
		"nats://shop.stocks.reserve":                        {"nats://shop.stocks.reserve", "shop.stocks"},
		"sim:?latency=5ms":                                  {"sim:?latency=5ms", "sim:?latency=5ms"},
		"func:wrap":                                         {"func:wrap", "func:wrap"},
	} {
		for range 2 { // the second time from the cache
			address, e, err := d.Resolve(target)
			if err != nil || address != want.address || e.Name != want.name || d.Lookup(target).Name != want.name {
				t.Errorf("%s: %s of %s, %v: want %s of %s", target, address, e.Name, err, want.address, want.name)
			}
			if remote := !strings.HasPrefix(target, "sim:") && !strings.HasPrefix(target, "func:"); e.Remote != remote || e.Missing {
				t.Errorf("%s: remote %t, missing %t", target, e.Remote, e.Missing)
			}
		}
	}
}

// TestTargetsShareTheEntry: one downstream has one entry, whatever names it.
func TestTargetsShareTheEntry(t *testing.T) {
	d := parse(t, shop)
	e := d.Lookup("payments/capture")
	for _, target := range []string{"payments", "pay/x", "https://payments.internal/v1/y", "http://old-payments:8080/z", "nats://legacy.pay"} {
		if d.Lookup(target) != e {
			t.Errorf("%s is another entry", target)
		}
	}
}

func TestMissing(t *testing.T) {
	d := parse(t, shop)
	for target, want := range map[string]string{
		"shipping/create":       "this node has no downstream shipping (ORDERLY_DOWNSTREAMS)",
		"stock/reserve?mode=x":  `cannot contain "?"`,
		"stock/a//b":            "empty token",
		"stock/":                "empty token",
		"payments/../admin":     "segment . or ..",
		"payments/%2e%2e/admin": "segment . or ..",
		"http://stock.example/api/reserve?fast=1": `cannot contain "?"`,
	} {
		address, e, err := d.Resolve(target)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v: want %q", target, address, err, want)
		}
		if missing := strings.HasPrefix(target, "shipping"); e.Missing != missing {
			t.Errorf("%s: missing is %t", target, e.Missing)
		}
	}
}

func TestCheck(t *testing.T) {
	var many strings.Builder
	for i := range 25 {
		fmt.Fprintf(&many, "s%02d: {nats: s%02d}\n", i, i)
	}
	path := write(t, "", "downstreams.yaml", shop)
	d, err := directory.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"shipping/create": "target names the downstream shipping, which " + path + " lacks: it has payments, refunds, stock",
		"stock/a?b=c":     "cannot contain",
	} {
		if err := d.Check(target); !errors.Is(err, directory.ErrTarget) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
	if err := parse(t, many.String()).Check("x/y"); err == nil || !strings.HasSuffix(err.Error(), "s18, s19 and 5 more") {
		t.Errorf("got %v", err)
	}
	var none *directory.Directory
	if err := none.Check("payments/capture"); err == nil || !strings.Contains(err.Error(), "set ORDERLY_DOWNSTREAMS") {
		t.Errorf("without a file: %v", err)
	}
	for _, target := range []string{"payments/capture", "pay", "nats://a.b", "https://a/b", "sim:", "func:wrap"} {
		if err := d.Check(target); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	for _, target := range []string{
		"payments/capture", "payments", "payments/capture?mode=fast", "nats://a.b", "https://a.example/b?page=2&zip_code=12345",
		"https://a.example/b?tenant=550e8400-e29b-41d4-a716-446655440000", "https://a.example/b?at=20261129T170430Z",
		"https://a.example/b?callback=https%3A%2F%2Fshop.example%2Fhooks%2Fpayments", "https://a.example/?token=", "https://a.example/?sort_key=name",
	} {
		if err := directory.CheckTarget(target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	const bearer, random = "which looks like a credential", "a long random value"
	for target, want := range map[string]string{
		"payments/a/../b":                                      "segment . or ..",
		"payments/a#b":                                         "fragment",
		"payments/%zz":                                         "not a valid URL",
		"https://a.example/b?api_key=s3cret":                   bearer,
		"https://a.example/b?apikey=s3cret":                    bearer,
		"https://a.example/b?X-Api-Key=s3cret":                 bearer,
		"https://a.example/b?x=1&TOKEN=s3cret":                 bearer,
		"https://a.example/b?access_token=s3cret":              bearer,
		"https://a.example/b?accessToken=s3cret":               bearer,
		"https://a.example/b?key=s3cret":                       bearer,
		"https://a.example/b?secret=s3cret":                    bearer,
		"https://a.example/b?password=s3cret":                  bearer,
		"https://a.example/b?sig=s3cret":                       bearer,
		"https://a.example/b?signature=s3cret":                 bearer,
		"https://a.example/b?auth=s3cret":                      bearer,
		"https://a.example/b?code=s3cret":                      bearer,
		"payments/capture?client_secret=s3cret":                bearer,
		"https://a.example/b?q=sk_live_51H8s3cretKlMnOpQrStUv": random,
		"https://a.example/b?q=9f86d081884c7d659a2feaas3cret":  random,
		"https://a.example/b?a;b=s3cret":                       "cannot be read",
		"https://u:s3cret@a.example/b":                         "has credentials",
	} {
		err := directory.CheckTarget(target)
		if !errors.Is(err, directory.ErrTarget) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", target, err, want)
			continue
		}
		if (want == bearer || want == random) && !strings.Contains(err.Error(), "ORDERLY_DOWNSTREAMS") {
			t.Errorf("%s: %v does not say what to do", target, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	d := parse(b, shop)
	for _, target := range []string{"payments/capture", "http://old-payments:8080/capture"} {
		b.Run(target, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Lookup(target)
			}
		})
	}
}
