package cause_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/node/cause"
)

// The texts of a group.
func TestGroup(t *testing.T) {
	for want, texts := range map[string][]string{
		"nats://payments.authorize: answered …: card network is unavailable": {
			"nats://payments.authorize: answered 503: card network is unavailable", "nats://payments.authorize: answered 500: card network is unavailable",
		},
		"order …: panic: index out of range […] with length …": {
			"order o-1: panic: index out of range [3] with length 3", "order o-1: panic: index out of range [12] with length 7",
		},
		"the key …/pay/do is unknown": {"the key o-1/pay/do is unknown", "the key 8f14e45f-ceea-467f-a83e-0a9c1f6f0b11/pay/do is unknown"},
		"… did not answer within …": {"nats4 did not answer within 2s", "nats4 did not answer within 1m30.5s", "nats4 did not answer within 200 ms",
			"nats4 did not answer within 2 minutes 30 seconds", "nats4 did not answer within 0.25µs"},
		"expired at …, now": {
			"expired at 2026-01-02T03:04:05Z, now", "expired at 2026-01-02T03:04:05.678+02:00, now", "expired at 2026-01-02 03:04:05.6 +0100 CET, now",
			"expired at Mon, 02 Jan 2006 15:04:05 GMT, now", "expired at Tuesday, 03-Feb-26 15:04:05 UTC, now", "expired at Wed May  4 15:04:05 2026, now",
			"expired at Wed May 14 15:04:05 CEST 2026, now", "expired at 2026-01-02, now", "expired at 15:04, now", "expired at 1767323045, now",
		},
		"dial tcp …:…: connect: connection refused": {
			"dial tcp 10.0.0.7:8080: connect: connection refused", "dial tcp [fe80::1%eth0]:80: connect: connection refused",
		},
		`answer cannot be read (it begins with "…")`: {
			`answer cannot be read (it begins with "<html>")`, `answer cannot be read (it begins with "{\"a\": \"b\"}")`, `answer cannot be read (it begins with "")`,
		},
		"out of stock: …":    {"out of stock: sku-1", "out of stock: sku-1, sku-22", "out of stock: 7 8 9"},
		"trace … was lost":   {"trace deadbeef was lost", "trace 4bf92f3577b34da6a3ce929d0e0e4736 was lost", "trace DEADBEEFDEADBEEF was lost"},
		"balance is … of …%": {"balance is -5 of 1,000.50%", "balance is +0.5 of 3%"},
		"no numbers at all":  {"no numbers at all"},
		"not xdeadbeef":      {"not xdeadbeef"},
		"…":                  {"…", "42"},
		"":                   {""},
	} {
		for _, text := range texts {
			if got := cause.Group(text, "o-1"); got != want {
				t.Errorf("%q is in the group %q, want %q", text, got, want)
			}
		}
	}
}

// The id of an order without a digit is replaced where the text names the order, and not where it is a word.
func TestGroupKnowsTheOrder(t *testing.T) {
	for text, want := range map[string]string{
		"order card: card declined":  "order …: card declined",
		"key card/pay/do is taken":   "key …/pay/do is taken",
		"order cards: card declined": "order cards: card declined",
		"discard/pay failed":         "discard/pay failed",
	} {
		if got := cause.Group(text, "card"); got != want {
			t.Errorf("%q is in the group %q, want %q", text, got, want)
		}
	}
}

// words are letters that make no unit of time, no month and no number in hexadecimal.
var words = rapid.SliceOfN(rapid.StringMatching(`[p-z]{3,9}`), 1, 6)

// value draws what changes in a cause.
func value(t *rapid.T, id string) string {
	number := rapid.Int64().Draw(t, "number")
	at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "time"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	return rapid.SampledFrom([]string{
		fmt.Sprint(number),
		fmt.Sprintf("%.3f", float64(number)/1000),
		fmt.Sprintf("o-%d", number),
		fmt.Sprintf("%016x", uint64(number)),
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`).Draw(t, "uuid"),
		time.Duration(number).String(),
		at.Format(time.RFC3339Nano), at.Format(time.RFC1123), at.Format(time.RFC850), at.Format(time.ANSIC), at.Format(time.DateTime), at.String(),
		"order-" + fmt.Sprint(number), id + "7",
	}).Draw(t, "value")
}

// Two causes that differ only in what changes are one group, each text matches its group, and a group is its own group.
func TestSameWordsAreOneGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := words.Draw(t, "words")
		text := func(id string) string {
			var b strings.Builder
			for i, w := range parts {
				if i > 0 {
					b.WriteString(" " + value(t, id) + ": ")
				}
				b.WriteString(w)
			}
			return b.String() + " (order " + id + `, "` + rapid.StringMatching(`[^"\\]*`).Draw(t, "body") + `")`
		}
		id := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
		one, other := id.Draw(t, "id"), id.Draw(t, "other id")
		a, b := text(one), text(other)
		group := cause.Group(a, one)
		if got := cause.Group(b, other); got != group {
			t.Fatalf("%q is in the group %q,\n%q in %q", a, group, b, got)
		}
		if !cause.Matches(a, group) || !cause.Matches(b, group) {
			t.Fatalf("%q or %q does not match %q", a, b, group)
		}
		if again := cause.Group(group, one); again != group {
			t.Fatalf("the group of %q is %q", group, again)
		}
	})
}

// Different words are different groups.
func TestDifferentWordsAreDifferentGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := words.Draw(t, "words"), words.Draw(t, "other words")
		if slices.Equal(a, b) {
			t.Skip()
		}
		text := func(words []string) string { return strings.Join(words, " 17 ") }
		if cause.Group(text(a), "o-1") == cause.Group(text(b), "o-1") {
			t.Fatalf("%q and %q are one group", text(a), text(b))
		}
	})
}

// Every text matches its group, also one of a stranger.
func TestTextMatchesItsGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, id := rapid.String().Draw(t, "text"), rapid.StringMatching(`[a-z0-9]{1,3}`).Draw(t, "id")
		if group := cause.Group(text, id); !cause.Matches(text, group) {
			t.Fatalf("%q does not match %q", text, group)
		}
	})
}

func TestMatches(t *testing.T) {
	for pattern, want := range map[string]bool{
		"": true, "answered": true, "answered …: no": true, "…": true, "… no": true, "answered … answered": false, "no … answered": false, "absent": false,
	} {
		if got := cause.Matches("payments: answered 503: no route", pattern); got != want {
			t.Errorf("%q matches: %v", pattern, got)
		}
	}
}

func BenchmarkGroup(b *testing.B) {
	text := `https://payments.example/v1/capture: answered 503: upstream 10.0.0.7:8080 did not answer within 2.5s (request 8f14e45f-ceea-467f-a83e-0a9c1f6f0b11)`
	for b.Loop() {
		cause.Group(text, "o-1")
	}
}
