package messages

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// UnmarshalJSON decodes the JSON form of a message, as MarshalJSON writes it. Unknown fields are an error. White space is
// removed from JSON text, and text in it that is not Unicode is replaced, as NormalizeJSON does.
func UnmarshalJSON(b []byte, m proto.Message) error {
	return unmarshalJSON(b, m, false)
}

// UnmarshalForeignJSON is UnmarshalJSON for what services write: unknown fields are ignored, and in every string text that is
// not Unicode is replaced by U+FFFD.
func UnmarshalForeignJSON(b []byte, m proto.Message) error {
	return unmarshalJSON(b, m, true)
}

func unmarshalJSON(b []byte, m proto.Message, foreign bool) error {
	of := jsonMessageOf(m.ProtoReflect().Descriptor())
	if of.hasText || foreign {
		s := jsonScanner{in: string(b), out: make([]byte, 0, len(b)+len(b)/8), repair: foreign, levels: maxScanDepth}
		if err := s.document(func(s *jsonScanner) error { return s.message(of) }); err != nil {
			return err
		}
		b = s.out
	}
	return protojson.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: foreign}.Unmarshal(b, m)
}

// message copies the JSON form of a message. It turns each value that is JSON text into a string, as protojson reads it.
func (s *jsonScanner) message(of *jsonMessage) error {
	if s.peek() != '{' || !of.hasText {
		return s.value()
	}
	return s.object(func(key string) error {
		f := of.byName[unquote(key)]
		switch {
		case f == nil || !f.text && (f.message == nil || !f.message.hasText):
			return s.value()
		case f.IsMap() && s.peek() == '{':
			return s.object(func(string) error { return s.field(f) })
		case f.IsMap():
			return s.value()
		case f.IsList() && s.peek() == '[':
			return s.array(func() error { return s.field(f) })
		}
		return s.field(f)
	})
}

// field copies a field, or an element or value of it.
func (s *jsonScanner) field(f *jsonField) error {
	if !f.text {
		return s.message(f.message)
	}
	text := jsonScanner{in: s.in, at: s.at, compact: true, repair: true, levels: s.levels}
	if err := text.value(); err != nil {
		return err
	}
	s.at = text.at
	s.out = append(s.out, '"')
	for _, c := range text.out {
		if c == '"' || c == '\\' {
			s.out = append(s.out, '\\')
		}
		s.out = append(s.out, c)
	}
	s.out = append(s.out, '"')
	return nil
}

// unquote returns the key that is written as quoted.
func unquote(quoted string) (key string) {
	if !strings.Contains(quoted, `\`) {
		return quoted[1 : len(quoted)-1]
	}
	// The scanner has checked it.
	_ = json.Unmarshal([]byte(quoted), &key)
	return key
}
