package messages

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxValues is the largest number of values in a body: fields in protobuf; objects, arrays and their members in JSON. A value of
// no content takes two bytes of a body, and about a hundred in memory.
const MaxValues = 16 << 10

// checkValues counts the values of a body before it is decoded. It does not check that the body is well formed.
func checkValues(form bodyEncoding, body []byte, m proto.Message) error {
	if len(body) <= 2*MaxValues {
		return nil // a value takes two bytes or more
	}
	count := 0
	switch of := m.ProtoReflect().Descriptor(); {
	case form == encodingProtobuf:
		count = countFields(body, of)
	case !jsonMessageOf(of).hasText: // JSON text is one value: it is not decoded
		count = countJSONValues(body)
	}
	if count > MaxValues {
		return fmt.Errorf("%w has more than %d values", ErrBody, MaxValues)
	}
	return nil
}

// countFields counts the fields of a message of that type and of the messages in it, up to just above MaxValues.
func countFields(body []byte, of protoreflect.MessageDescriptor) (count int) {
	for len(body) > 0 && count <= MaxValues {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return count
		}
		size := protowire.ConsumeFieldValue(number, kind, body[n:])
		if size < 0 {
			return count
		}
		count++
		if f := of.Fields().ByNumber(number); f != nil && f.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(body[n:])
			count += countFields(inner, f.Message())
		}
		body = body[n+size:]
	}
	return count
}

// countJSONValues counts the opening brackets and commas outside of strings. An object or array of n members has one and n-1 of them.
func countJSONValues(body []byte) (count int) {
	inText, escaped := false, false
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case inText && c == '\\':
			escaped = true
		case c == '"':
			inText = !inText
		case !inText && (c == '{' || c == '[' || c == ','):
			count++
		}
	}
	return count
}
