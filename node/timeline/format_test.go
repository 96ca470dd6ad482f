package timeline_test

import (
	"testing"

	"github.com/orderly-engine/orderly/node/timeline"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"paid €19 – größe 東京 e\u0301 🙂":          "paid €19 – größe 東京 e\u0301 🙂",
		"a\x1b[31m\r\n\tb\x7f\u009bc":            "a [31m   b  c",
		"\u202egnp.exe\u202c":                    " gnp.exe ",
		"\u2066a\u2069\u200b\u200d\ufeff\u00adb": " a     b",
		"a\u2028b\u2029c\u00a0d\ue000e":          "a b c d e",
		"\xff":                                   "\ufffd",
	} {
		if got := timeline.Printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
