package messages

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDataDepth is how deep arrays and objects may be nested in data.
const MaxDataDepth = 64

// maxScanDepth bounds the nesting of JSON text that is only copied, so that scanning cannot exhaust the stack.
const maxScanDepth = 10_000

var (
	errDepth     = errors.New("nests too deep")
	errTruncated = errors.New("unexpected end of JSON")
)

// NormalizeJSON returns data, which is JSON text, in the form that is stored: one value without white space, in which half a
// surrogate pair and bytes that are not UTF-8 are replaced by U+FFFD. Everything else stays character by character: the
// digits of numbers, escapes, the order of fields, duplicate fields. Empty text, which means no data, stays empty. The error
// says why the data cannot be stored: they are not JSON, nest deeper than MaxDataDepth or have more than MaxBody bytes.
func NormalizeJSON(data string) (string, error) {
	if data == "" {
		return "", nil
	}
	s := jsonScanner{in: data, out: make([]byte, 0, len(data)), compact: true, repair: true, levels: MaxDataDepth}
	switch err := s.document((*jsonScanner).value); {
	case errors.Is(err, errDepth):
		return "", fmt.Errorf("nests deeper than %d levels", MaxDataDepth)
	case err != nil:
		return "", fmt.Errorf("is not JSON: %w", err)
	case len(s.out) > MaxBody:
		return "", fmt.Errorf("has %d bytes: at most %d are allowed", len(s.out), MaxBody)
	case string(s.out) == data:
		return data, nil
	}
	return string(s.out), nil
}

// NewJSON returns v as encoding/json writes it; no text for nil.
func NewJSON(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("data cannot be written as JSON: %w", err)
	}
	return string(text), nil
}

// jsonScanner checks JSON text and copies it from in to out.
type jsonScanner struct {
	in  string
	at  int
	out []byte
	// compact leaves white space out; repair replaces text that is not Unicode.
	compact, repair bool
	// levels is how much deeper arrays and objects may be nested.
	levels int
}

// document copies one value, by the function value, and the white space around it.
func (s *jsonScanner) document(value func(*jsonScanner) error) error {
	s.space()
	if err := value(s); err != nil {
		return err
	}
	s.space()
	if s.at < len(s.in) {
		return s.unexpected()
	}
	return nil
}

// value copies one value.
func (s *jsonScanner) value() error {
	switch c := s.peek(); c {
	case '{':
		return s.object(func(string) error { return s.value() })
	case '[':
		return s.array(s.value)
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// object copies an object; field copies the value after each key, which is given in quotes as it was written.
func (s *jsonScanner) object(field func(key string) error) error {
	return s.nested('}', func() error {
		if s.peek() != '"' {
			return s.unexpected()
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		if s.peek() != ':' {
			return s.unexpected()
		}
		s.copy(1)
		s.space()
		return field(key)
	})
}

// array copies an array; element copies each of its elements.
func (s *jsonScanner) array(element func() error) error { return s.nested(']', element) }

// nested copies what is between an opening bracket and closing: elements with commas between.
func (s *jsonScanner) nested(closing byte, element func() error) error {
	if s.levels == 0 {
		return errDepth
	}
	s.levels--
	s.copy(1)
	s.space()
	if s.peek() != closing {
		for {
			if err := element(); err != nil {
				return err
			}
			s.space()
			if s.peek() != ',' {
				break
			}
			s.copy(1)
			s.space()
		}
	}
	if s.peek() != closing {
		return s.unexpected()
	}
	s.copy(1)
	s.levels++
	return nil
}

// text copies a string, and returns it as it was written.
func (s *jsonScanner) text() (string, error) {
	begin, copied := s.at, s.at
	replace := func(size int, by string) {
		if s.repair {
			s.out = append(append(s.out, s.in[copied:s.at]...), by...)
			copied = s.at + size
		}
		s.at += size
	}
	for s.at++; s.at < len(s.in); {
		switch c := s.in[s.at]; {
		case c == '"':
			s.at++
			s.out = append(s.out, s.in[copied:s.at]...)
			return s.in[begin:s.at], nil
		case c < ' ':
			return "", s.unexpected()
		case c == '\\':
			size, isText, err := s.escape()
			if err != nil {
				return "", err
			}
			if isText {
				s.at += size
			} else {
				replace(size, `\ufffd`)
			}
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRuneInString(s.in[s.at:])
			if r == utf8.RuneError && size == 1 {
				replace(size, "\ufffd")
			} else {
				s.at += size
			}
		}
	}
	return "", errTruncated
}

// escape returns the size of the escape sequence here, of both halves of a surrogate pair together, and whether it is text:
// half a pair is not.
func (s *jsonScanner) escape() (size int, isText bool, err error) {
	if s.at+1 == len(s.in) {
		return 0, false, errTruncated
	}
	if s.in[s.at+1] != 'u' {
		if !strings.ContainsRune(`"\/bfnrt`, rune(s.in[s.at+1])) {
			return 0, false, s.unexpected()
		}
		return 2, true, nil
	}
	first, ok := unicodeEscape(s.in[s.at:])
	switch {
	case !ok:
		return 0, false, s.unexpected()
	case first < 0xd800 || first > 0xdfff:
		return 6, true, nil
	}
	second, ok := unicodeEscape(s.in[s.at+6:])
	if ok && first <= 0xdbff && second >= 0xdc00 && second <= 0xdfff {
		return 12, true, nil
	}
	return 6, false, nil
}

// unicodeEscape reads the \u and four hexadecimal digits at the beginning of s.
func unicodeEscape(s string) (unit uint16, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint16(c)
	}
	return unit, true
}

func (s *jsonScanner) literal(word string) error {
	if !strings.HasPrefix(s.in[s.at:], word) {
		return s.unexpected()
	}
	s.copy(len(word))
	return nil
}

func (s *jsonScanner) number() error {
	begin := s.at
	s.skip("-")
	if s.skip("0") == 0 && s.digits() == 0 {
		return s.unexpected()
	}
	if s.skip(".") > 0 && s.digits() == 0 {
		return s.unexpected()
	}
	if s.skip("eE") > 0 {
		s.skip("+-")
		if s.digits() == 0 {
			return s.unexpected()
		}
	}
	s.out = append(s.out, s.in[begin:s.at]...)
	return nil
}

// skip passes over one of the characters of set, if one is here, and returns how many it passed over.
func (s *jsonScanner) skip(set string) int {
	if s.at < len(s.in) && strings.IndexByte(set, s.in[s.at]) >= 0 {
		s.at++
		return 1
	}
	return 0
}

func (s *jsonScanner) digits() (n int) {
	for s.at < len(s.in) && '0' <= s.in[s.at] && s.in[s.at] <= '9' {
		s.at++
		n++
	}
	return n
}

func (s *jsonScanner) space() {
	begin := s.at
	for s.at < len(s.in) && strings.IndexByte(" \t\r\n", s.in[s.at]) >= 0 {
		s.at++
	}
	if !s.compact {
		s.out = append(s.out, s.in[begin:s.at]...)
	}
}

// peek returns the next character; 0, which JSON does not have, at the end.
func (s *jsonScanner) peek() byte {
	if s.at == len(s.in) {
		return 0
	}
	return s.in[s.at]
}

func (s *jsonScanner) copy(size int) {
	s.out = append(s.out, s.in[s.at:s.at+size]...)
	s.at += size
}

func (s *jsonScanner) unexpected() error {
	if s.at == len(s.in) {
		return errTruncated
	}
	return fmt.Errorf("unexpected %.20q at byte %d", s.in[s.at:min(len(s.in), s.at+20)], s.at)
}
