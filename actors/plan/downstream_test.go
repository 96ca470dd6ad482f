package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/plan"
)

func TestDownstream(t *testing.T) {
	for target, want := range map[string]struct {
		name   string
		remote bool
	}{
		"nats://inventory.reserve":                 {"inventory", true},
		"nats://inventory.release":                 {"inventory", true},
		"nats://eu.inventory.reserve":              {"eu.inventory", true},
		"nats://inventory":                         {"inventory", true},
		"http://pay.example/charge?key=secret":     {"http://pay.example", true},
		"http://Pay.example:80/refund":             {"http://pay.example", true},
		"https://pay.example:443/charge":           {"https://pay.example", true},
		"https://pay.example:8443/charge":          {"https://pay.example:8443", true},
		"http://[2001:db8::1]:8080/charge":         {"http://[2001:db8::1]:8080", true},
		"http://u:secret@pay.example/charge":       {"http://pay.example", true},
		"http://pay.example:port/charge?a=secret#": {"http", true},
		"payments/capture":                         {"payments", true},
		"payments":                                 {"payments", true},
		"old-payments_2/a:b?c=d":                   {"old-payments_2", true},
		"Payments/capture":                         {"Payments/capture", false},
		"2payments/capture":                        {"2payments/capture", false},
		"sim:":                                     {"sim:", false},
		"sim:?latency=5ms":                         {"sim:?latency=5ms", false},
		"func:reserve":                             {"func:reserve", false},
	} {
		if name, remote := plan.Downstream(target); name != want.name || remote != want.remote {
			t.Errorf("%s is %q, %v: want %q, %v", target, name, remote, want.name, want.remote)
		}
	}
}

func TestLimitsOfSharedDownstreams(t *testing.T) {
	text := `
name: order
version: 1
steps:
  - {name: authorize, do: "nats://payments.authorize", undo: "nats://refunds.void", limits: {concurrency: 8, rate: 2.5}}
  - {name: ship, do: "nats://shipping.create"}
  - {name: capture, do: "nats://payments.capture"%s}
`
	p, err := plan.Parse([]byte(strings.Replace(text, "%s", "", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	limits := plan.LimitsOf(p, func(target string) string { name, _ := plan.Downstream(target); return name })
	if l := limits["payments"]; l.GetConcurrency() != 8 || l.GetRate() != 2.5 {
		t.Errorf("payments has %v", l)
	}
	if l := p.Steps[2].GetLimits(); l.GetConcurrency() != 8 || l.GetRate() != 2.5 {
		t.Errorf("capture leaves its limits out and gets %v, want those of authorize", l)
	}
	if l := limits["shipping"]; l.GetConcurrency() != 256 || l.GetRate() != 0 {
		t.Errorf("shipping has %v, want the default", l)
	}
	if l, ok := limits["refunds"]; ok {
		t.Errorf("refunds, which only an undo calls, has %v", l)
	}
	p.Steps[2].Limits = nil
	if l := plan.WithDefaults(p).Steps[2].GetLimits(); l.GetConcurrency() != 8 || l.GetRate() != 2.5 {
		t.Errorf("a plan made in Go gets %v", l)
	}
	for different, want := range map[string]string{
		", limits: {concurrency: 9, rate: 2.5}": "step capture: limits.concurrency is 9, and that of step authorize is 8: they share the downstream payments",
		", limits: {concurrency: 8}":            "step capture: limits.rate is 0, and that of step authorize is 2.5: they share the downstream payments",
	} {
		if _, err := plan.Parse([]byte(strings.Replace(text, "%s", different, 1)), nil); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", different, err, want)
		}
	}
	if _, err := plan.Parse([]byte(strings.Replace(text, "%s", ", limits: {concurrency: 8, rate: 2.5}", 1)), nil); err != nil {
		t.Errorf("limits that agree: %v", err)
	}
}
