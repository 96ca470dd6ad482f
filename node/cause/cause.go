// Package cause groups the causes of attention, parks and rejections by the words of their texts: what changes from order to
// order (numbers, identifiers, times, quoted answers of services) is replaced by a placeholder.
package cause

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Placeholder stands for the text that changes.
const Placeholder = "…"

const (
	day   = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*`
	month = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*`
	clock = `\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?`
)

var (
	quoted = regexp.MustCompile(`^"(?:[^"\\]|\\.)*"`)
	// dayTime is a time that begins with the day of the week, as HTTP and C write it.
	dayTime = regexp.MustCompile(`^` + day + `(?:,? \d{1,2}[ -]` + month + `[ -]\d{2,4} ` + clock + `(?: (?:[A-Z]{3,4}\b|[+-]\d{4}))?` +
		`| ` + month + ` [ \d]\d ` + clock + ` (?:[A-Z]{3,4} )?\d{4})`)
	// isoTime is a time as ISO 8601 or Go write it, or that of a clock.
	isoTime = regexp.MustCompile(`^(?:\d{4}[-/]\d\d[-/]\d\d(?:[T ]` + clock + `(?:Z| ?UTC| ?[+-]\d\d:?\d\d(?: [A-Z]{3,4}\b)?)?)?\b|` + clock + `)`)
	ipv6    = regexp.MustCompile(`^\[[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:%\w+)?\]`)
	// unit of time after a number.
	unit = regexp.MustCompile(`^ (?:[nuµm]?s|secs?|seconds?|mins?|minutes?|h|hours?|d|days?)\b`)
	hex  = regexp.MustCompile(`^[0-9a-fA-F]{8,}$`)
	// list is several placeholders in a row.
	list = regexp.MustCompile(Placeholder + `(?:,? ?` + Placeholder + `)+`)
)

// maxTime bounds the text of a time, in bytes.
const maxTime = 64

// Group returns what the causes of a group have in common. text is the cause of the order with that id.
func Group(text, id string) string {
	text = cutID(text, id)
	var b strings.Builder
	for text != "" {
		if n := changing(text); n > 0 {
			if text[0] == '"' {
				b.WriteString(`"` + Placeholder + `"`)
			} else {
				b.WriteString(Placeholder)
			}
			text = text[n:]
			continue
		}
		n := max(wordEnd(text), 1)
		b.WriteString(text[:n])
		text = text[n:]
	}
	return list.ReplaceAllString(b.String(), Placeholder)
}

// changing is the length of what changes at the beginning of text, which is the beginning of a word or no part of one.
func changing(text string) int {
	switch text[0] {
	case '"':
		return length(quoted, text)
	case '[':
		return length(ipv6, text)
	case '+':
		if n := number(text[1:]); n > 0 {
			return 1 + n
		}
		return 0
	}
	if n := number(text); n > 0 {
		return n
	}
	end := wordEnd(text)
	if 'A' <= text[0] && text[0] <= 'Z' && end >= 3 {
		if n := length(dayTime, text[:min(len(text), maxTime)]); n > 0 {
			return n
		}
	}
	if end >= 8 && hex.MatchString(text[:end]) {
		return end
	}
	return 0
}

// number is the length of a time, or of a word with a digit and what belongs to it: o-17, 10.0.0.7, 1m30s, 30 seconds.
func number(text string) int {
	end := wordEnd(text)
	if !strings.ContainsAny(text[:end], "0123456789") {
		return 0
	}
	if n := length(isoTime, text[:min(len(text), maxTime)]); n > 0 {
		return n
	}
	for end+1 < len(text) && (text[end] == '.' || text[end] == ',') && isDigit(text[end+1]) {
		end += 1 + wordEnd(text[end+1:])
	}
	if isDigit(text[end-1]) {
		end += length(unit, text[end:min(len(text), end+maxTime)])
	}
	return end
}

func length(pattern *regexp.Regexp, text string) int {
	if at := pattern.FindStringIndex(text); at != nil {
		return at[1]
	}
	return 0
}

// wordEnd is the length of the letters, digits, - and _ at the beginning of text.
func wordEnd(text string) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return i
		}
		i += size
	}
	return len(text)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cutID replaces the id, which need not have a digit, where a text names the order ("order ID") or a key of it ("ID/step/do").
func cutID(text, id string) string {
	if id == "" {
		return text
	}
	var b strings.Builder
	kept := 0
	for at := 0; ; at += len(id) {
		next := strings.Index(text[at:], id)
		if next < 0 {
			return b.String() + text[kept:]
		}
		at += next
		before, after := text[:at], text[at+len(id):]
		if strings.HasSuffix(before, "order ") && (after == "" || !isIDCharacter(after[0])) ||
			strings.HasPrefix(after, "/") && (before == "" || !isIDCharacter(before[at-1])) {
			b.WriteString(text[kept:at] + Placeholder)
			kept = at + len(id)
		}
	}
}

// isIDCharacter reports whether an order's id may contain c.
func isIDCharacter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// Matches reports whether text contains pattern, in which each Placeholder stands for any text. Every text matches its Group.
func Matches(text, pattern string) bool {
	for part := range strings.SplitSeq(pattern, Placeholder) {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}
