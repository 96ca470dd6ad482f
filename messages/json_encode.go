package messages

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MarshalJSON returns the JSON form of a message: the one of protobuf, with the field names of the .proto, absent fields left
// out, and the value itself for a field that holds JSON text. Equal messages have the same bytes, in every version of the
// program that has the same fields: fields are in the order of their numbers, maps in that of their keys, and there is no
// white space. The error names the field that cannot be written.
func MarshalJSON(m proto.Message) ([]byte, error) { return AppendJSON(nil, m) }

// AppendJSON appends what MarshalJSON returns to b.
func AppendJSON(b []byte, m proto.Message) ([]byte, error) {
	return appendJSON(b, m.ProtoReflect(), jsonMessageOf(m.ProtoReflect().Descriptor()))
}

func appendJSON(b []byte, m protoreflect.Message, of *jsonMessage) ([]byte, error) {
	if of.foreign {
		return protojson.MarshalOptions{}.MarshalAppend(b, m.Interface())
	}
	b = append(b, '{')
	begin := len(b)
	for i := range of.fields {
		f := &of.fields[i]
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		if len(b) > begin {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		var err error
		switch v := m.Get(f.FieldDescriptor); {
		case f.IsList():
			b, err = appendList(b, v.List(), f)
		case f.IsMap():
			b, err = appendMap(b, v.Map(), f)
		default:
			b, err = appendValue(b, v, f, f.Kind())
		}
		if err != nil {
			return b, fmt.Errorf("field %s: %w", f.TextName(), err)
		}
	}
	return append(b, '}'), nil
}

func appendList(b []byte, list protoreflect.List, f *jsonField) (_ []byte, err error) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, list.Get(i), f, f.Kind()); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendMap appends a map whose keys are strings.
func appendMap(b []byte, values protoreflect.Map, f *jsonField) (_ []byte, err error) {
	type entry struct {
		key   string
		value protoreflect.Value
	}
	entries := make([]entry, 0, values.Len())
	values.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		entries = append(entries, entry{key.String(), value})
		return true
	})
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendText(b, e.key); err != nil {
			return b, err
		}
		b = append(b, ':')
		if b, err = appendValue(b, e.value, f, f.MapValue().Kind()); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendValue appends a field, or an element or value of it, of that kind.
func appendValue(b []byte, v protoreflect.Value, f *jsonField, kind protoreflect.Kind) ([]byte, error) {
	switch kind {
	case protoreflect.MessageKind:
		return appendJSON(b, v.Message(), f.message)
	case protoreflect.StringKind:
		if f.text {
			return appendJSONText(b, v.String())
		}
		return appendText(b, v.String())
	case protoreflect.BytesKind:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"'), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.Int32Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.Int64Kind:
		return append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"'), nil
	case protoreflect.Uint64Kind:
		return append(strconv.AppendUint(append(b, '"'), v.Uint(), 10), '"'), nil
	case protoreflect.DoubleKind:
		return appendDouble(b, v.Float()), nil
	case protoreflect.EnumKind:
		if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
			return append(append(append(b, '"'), value.Name()...), '"'), nil
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10), nil
	}
	return b, fmt.Errorf("has the type %s, which has no JSON form here", kind)
}

// appendJSONText appends JSON text as the value that it is.
func appendJSONText(b []byte, text string) ([]byte, error) {
	s := jsonScanner{in: text, out: b, compact: true, repair: true, levels: maxScanDepth}
	if err := s.document((*jsonScanner).value); err != nil {
		return b, fmt.Errorf("is not JSON: %w", err)
	}
	return s.out, nil
}

func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return b, fmt.Errorf("%.40q is not valid UTF-8", s)
	}
	b = append(b, '"')
	copied := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[copied:i]...)
		copied = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(b, s[copied:]...), '"'), nil
}

// appendDouble appends a number as JavaScript writes it.
func appendDouble(b []byte, n float64) []byte {
	abs := math.Abs(n)
	switch {
	case math.IsNaN(n):
		return append(b, `"NaN"`...)
	case math.IsInf(n, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(n, -1):
		return append(b, `"-Infinity"`...)
	case abs == 0 || abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(b, n, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, n, 'e', -1, 64)
	// Go writes at least two digits of the exponent: e-09 becomes e-9.
	if end := len(b); b[end-4] == 'e' && b[end-3] == '-' && b[end-2] == '0' {
		b[end-2] = b[end-1]
		b = b[:end-1]
	}
	return b
}
