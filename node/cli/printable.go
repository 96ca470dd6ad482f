package cli

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable is a writer for a terminal: text of others cannot control the terminal or reorder a line. A character that is not
// printable, except space, tab and newline, is written as \uXXXX, which JSON reads as the character. Bytes that are not UTF-8
// become U+FFFD. A character must not be split between two writes.
type printable struct{ w io.Writer }

func (p printable) Write(text []byte) (int, error) {
	safe := text
	if at := firstUnprintable(text); at < len(text) {
		safe = append(make([]byte, 0, len(text)+16), text[:at]...)
		for rest := text[at:]; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			rest = rest[size:]
			safe = appendPrintable(safe, r)
		}
	}
	if _, err := p.w.Write(safe); err != nil {
		return 0, err
	}
	return len(text), nil
}

// firstUnprintable returns the index of the first byte that is not printable ASCII, tab or newline.
func firstUnprintable(text []byte) int {
	for i, c := range text {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return i
		}
	}
	return len(text)
}

func appendPrintable(out []byte, r rune) []byte {
	switch {
	case r == '\n' || r == '\t' || unicode.IsPrint(r):
		return utf8.AppendRune(out, r)
	case r > 0xFFFF:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
