package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/orderly-engine/orderly/node/demo"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"order o-1\n\t19.00 €, 日本": "order o-1\n\t19.00 €, 日本",
		"\x1b[2J":                  `\u001b[2J`,
		"a\u009b31mb":              `a\u009b31mb`, // the same in one character
		"a\u202eb\r":               `a\u202eb\u000d`,
		"bad \xff\xfe":             "bad \uFFFD\uFFFD",
		"\U000E0001":               `\udb40\udc01`, // an invisible tag
		"":                         "",
	} {
		var out bytes.Buffer
		if n, err := (printable{&out}).Write([]byte(in)); err != nil || n != len(in) || out.String() != want {
			t.Errorf("%q: got %q, %d, %v; want %q", in, out.String(), n, err, want)
		}
	}
}

// TestPrintableKeepsJSON: JSON stays the same value.
func TestPrintableKeepsJSON(t *testing.T) {
	want := "\x1b\u009b\u202e\U000E0001 ok"
	var out bytes.Buffer
	if err := writeJSON(printable{&out}, want); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
		t.Errorf("got %q, %v from %s", got, err, out.String())
	}
}

// TestForeignTextIsPrintedSafely: control characters in an order reach no output of the commands that show it.
func TestForeignTextIsPrintedSafely(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{})
	const hostile = "c\u009b2J\u202e\u2028"
	p.publish(t, orderWith("o-1", hostile, "sku-1"), "--wait")
	p.waitListed(t, 1)
	for _, args := range [][]string{{"get", "o-1"}, {"get", "o-1", "-o", "json"}, {"list"}, {"list", "-o", "json"}} {
		text := ok(t, p.environ, args...)
		if at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("%v prints %q raw", args, text[at:min(len(text), at+8)])
		}
	}
}
