package gateway_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/gateway"
)

func TestCheck(t *testing.T) {
	for _, target := range []string{
		"nats://inventory.reserve", "nats://a", "nats://shop-1.eu_west.reserve",
		"http://localhost:8081/reserve", "https://shop.example/a?b=c", "http://[::1]:80",
		"payments/capture", "payments", "old-payments_2/capture?mode=fast",
		"sim:", "sim:?latency=5ms&fail=0.01&reject=0.01&pending=0.01", "sim:?seed=7", "sim:?",
	} {
		if err := gateway.Check(target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	for target, words := range map[string]string{
		"":                                     "missing",
		"Payments/capture":                     "unknown scheme: want nats://subject, http(s)://host/path, downstream/path or sim:",
		"payments/../admin":                    "segment . or ..",
		"payments/capture?token=s3cret":        "looks like a credential",
		"https://pay.example/?api_key=s3cret":  "looks like a credential",
		"inventory.reserve":                    "want nats://subject",
		"ftp://host/x":                         "want nats://subject",
		"nats:inventory":                       "no NATS subject",
		"nats://":                              "no NATS subject",
		"nats://a..b":                          "empty token",
		"nats://a.*":                           "cannot contain",
		"nats://a.>":                           "cannot contain",
		"nats://a b":                           "cannot contain",
		"nats://localhost:4222":                "NATS_URL",
		"nats://ORDER.o-1":                     "belongs to Orderly",
		"nats://$JS.API.STREAM.PURGE.ORDERS":   "belongs to Orderly or to NATS",
		"nats://" + strings.Repeat("x", 300):   "at most 255",
		"http://":                              "no host",
		"http:///path":                         "no host",
		"https://shop.example:99999/":          "port",
		"http://shop.example/#top":             "fragment",
		"https://shop:s3cret@shop.example/":    "has credentials",
		"http://us er:s3cret@shop.example":     "not a valid URL",
		"http://a/" + strings.Repeat("x", 2e3): "at most 1024",
		"sim:latency=5ms":                      "begin with ?",
		"sim:?latency=5":                       "not a duration",
		"sim:?latency=-5ms":                    "not a duration",
		"sim:?fail=2":                          "from 0 to 1",
		"sim:?reject=NaN":                      "from 0 to 1",
		"sim:?pending=x":                       "from 0 to 1",
		"sim:?seed=-1":                         "whole number",
		"sim:?fial=0.1":                        "unknown",
		"sim:?fail=0&fail=1":                   "given 2 times",
		"sim:?%zz":                             "cannot be read",
	} {
		err := gateway.Check(target)
		if !errors.Is(err, gateway.ErrTarget) || !strings.Contains(err.Error(), words) {
			t.Errorf("%.60s: got %v, want %q", target, err, words)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error contains a secret: %v", err)
		}
	}
}
