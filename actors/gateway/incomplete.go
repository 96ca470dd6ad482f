package gateway

import (
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// completeJSON closes what the beginning of a JSON text leaves open, so that it can be read. A text is clipped where it was
// cut; a key, a number or a literal that was cut is left out.
func completeJSON(text []byte) []byte {
	var closers []byte // what closes the open objects and lists, the outermost first
	safe := 0          // text[:safe] can be closed
	key := false       // the next string is a key
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[':
			closers = append(closers, c+2) // '}' or ']'
			safe, key = i+1, c == '{'
		case '}', ']':
			if len(closers) == 0 {
				return text
			}
			closers = closers[:len(closers)-1]
			safe = i + 1
		case ',':
			safe, key = i, len(closers) > 0 && closers[len(closers)-1] == '}'
		case ':':
			key = false
		case '"':
			end, closed := scanString(text, i+1)
			switch {
			case closed && !key:
				safe = end + 1
			case !closed && !key:
				closers = append(closers, '"')
				safe = end
			}
			i = end
		}
	}
	slices.Reverse(closers)
	return append(slices.Clip(text[:safe]), closers...)
}

// scanString returns the index of the quote that closes the string whose content begins at i, or else where its last whole
// character ends.
func scanString(text []byte, i int) (end int, closed bool) {
	for i < len(text) {
		switch {
		case text[i] == '"':
			return i, true
		case text[i] != '\\':
			i++
		case i+1 < len(text) && text[i+1] != 'u':
			i += 2
		case i+6 <= len(text):
			i += 6
		default:
			return i, false
		}
	}
	return i, false
}

// completeProtobuf shortens the field that the beginning of a protobuf message cuts, and its parts down to depth, so that they
// can be read.
func completeProtobuf(b []byte, depth int) []byte {
	var whole []byte
	for len(b) > 0 {
		if _, _, n := protowire.ConsumeField(b); n >= 0 {
			whole = append(whole, b[:n]...)
			b = b[n:]
			continue
		}
		number, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 || kind != protowire.BytesType {
			break
		}
		_, length := protowire.ConsumeVarint(b[tag:])
		if length < 0 {
			break
		}
		content := b[tag+length:]
		if depth > 0 {
			content = completeProtobuf(content, depth-1)
		} else {
			content = trimRune(content)
		}
		return protowire.AppendBytes(protowire.AppendTag(whole, number, kind), content)
	}
	return whole
}

// trimRune cuts off the beginning of a UTF-8 sequence at the end of b.
func trimRune(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}
