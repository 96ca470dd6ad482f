package config_test

import (
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/config"
)

func TestRedacted(t *testing.T) {
	c := load(t, "NATS_URL=nats://bob:s3cret@a:4222,nats://s3crettoken@b,c:1", "NATS_CREDS=/s3cret/creds", "ORDERLY_RETENTION=90m")
	entries := map[string]config.Entry{}
	for _, e := range c.Redacted() {
		if strings.Contains(e.Value, "s3cret") {
			t.Errorf("%s shows a secret: %s", e.Name, e.Value)
		}
		if e.Meaning == "" || e.Allowed == "" || (e.Default == "" && e.Value != "") {
			t.Errorf("%s is not described: %+v", e.Name, e)
		}
		entries[e.Name] = e
	}
	for name, want := range map[string]string{
		"NATS_URL":          "nats://***@a:4222,nats://***@b,c:1",
		"NATS_CREDS":        "***",
		"NATS_NKEY":         "",
		"ORDERLY_RETENTION": "1h30m",
		"ORDERLY_ACK_WAIT":  "5s",
		"ORDERLY_LOG_LEVEL": "info",
	} {
		if got := entries[name].Value; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if !entries["NATS_NKEY"].Secret || entries["ORDERLY_PLAN"].Secret {
		t.Error("secrets are marked wrong")
	}
}

func TestNoSecretInErrors(t *testing.T) {
	for _, url := range []string{
		"http://bob:s3cret@a:4222", "nats://bob:s3cret@", "nats://bob:s3cret@a:99999", "nats://bob:s3%ZZcret@a",
		"nats://bob:s3cret,s3cret@a", "bob:s3cret@ a", "nats://bob:s3c/s3cret@a", "nats://bob:x@s3cret@a:b",
	} {
		if got := refuse(t, "NATS_URL="+url); strings.Contains(got, "s3c") || !strings.Contains(got, "NATS_URL") {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestEntries(t *testing.T) {
	byName := map[string]config.Entry{}
	for _, e := range load(t).Redacted() {
		if e.Name == "" || e.Allowed == "" || e.Meaning == "" || e.Default == "" {
			t.Errorf("incomplete: %+v", e)
		}
		e.Value, e.Meaning = "", ""
		byName[e.Name] = e
	}
	for _, want := range []config.Entry{
		{Name: "ORDERLY_ACK_WAIT", Default: "5s", Allowed: "100ms–1h, duration"},
		{Name: "ORDERLY_NODE_ID", Default: "host name and a random suffix", Allowed: "A–Z a–z 0–9 _ - ."},
		{Name: "ORDERLY_REPLICAS", Default: "1", Allowed: "1, 3, 5"},
		{Name: "NATS_NKEY", Default: "empty", Allowed: "path", Secret: true},
	} {
		if got := byName[want.Name]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestRedactURLs(t *testing.T) {
	for in, want := range map[string]string{
		"nats://bob:x@s3cret@a:1":  "nats://***@a:1",
		"tls://token@a,nats://b":   "tls://***@a,nats://b",
		"bob:s3cret@a":             "***@a",
		"nats://a:4222":            "nats://a:4222",
		"not a url":                "not a url",
		"s3cret@ ":                 "***",
		"wss://a/x?token=s3cret":   "wss://a/x",
		"nats://a#s3cret,b?s3cret": "nats://a,b",
		"nats://bob:s3?cret@a:1":   "nats://***@a:1",
		"nats://bob:x@a?s3cret":    "nats://***@a",
		"nats://x@a?s3cret@b":      "nats://***@b",
	} {
		if got := config.RedactURLs(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
