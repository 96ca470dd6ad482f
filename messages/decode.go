package messages

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
)

// ErrBody is wrapped by every error about a body that cannot be decoded.
var ErrBody = errors.New("body")

// maxDepth bounds the nesting of a body, so that decoding cannot exhaust the stack.
const maxDepth = 100

// Unknown fields are an error in JSON, where they are typing errors, and kept in protobuf, where they are fields of a later
// version.
var unmarshalProtobuf = proto.UnmarshalOptions{RecursionLimit: maxDepth}

// DecodeCreated decodes an OrderCreated, in JSON or protobuf by contentType or else by its look. It neither normalizes nor
// validates the order. The error wraps ErrBody.
func DecodeCreated(contentType string, body []byte) (*OrderCreated, error) {
	if len(body) == 0 {
		return nil, fmt.Errorf("%w is empty: want an OrderCreated", ErrBody)
	}
	m := new(OrderCreated)
	if err := decode(contentType, body, m); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeCancel decodes a CancelOrder; an empty body is one without a reason. The error wraps ErrBody.
func DecodeCancel(contentType string, body []byte) (*CancelOrder, error) {
	m := new(CancelOrder)
	if err := decode(contentType, body, m); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeSignal decodes a SignalOrder; it must have a name of at most MaxName bytes, and data that NormalizeJSON accepts. The error wraps ErrBody.
func DecodeSignal(contentType string, body []byte) (*SignalOrder, error) {
	m := new(SignalOrder)
	if err := decode(contentType, body, m); err != nil {
		return nil, err
	}
	if m.Name == "" {
		return nil, fmt.Errorf("%w of a signal has no name: want SignalOrder{name, data}", ErrBody)
	}
	if len(m.Name) > MaxName {
		return nil, fmt.Errorf("%w of a signal has a name of %d bytes: at most %d are allowed", ErrBody, len(m.Name), MaxName)
	}
	data, err := NormalizeJSON(m.Data)
	if err != nil {
		return nil, fmt.Errorf("%w of a signal: data %w", ErrBody, err)
	}
	m.Data = data
	return m, nil
}

// DecodeRetry decodes a RetryOrder; the body may be empty. The error wraps ErrBody.
func DecodeRetry(contentType string, body []byte) (*RetryOrder, error) {
	m := new(RetryOrder)
	if err := decode(contentType, body, m); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeSkip decodes a SkipStep; the body may be empty, the direction must be do, undo or absent. The error wraps ErrBody.
func DecodeSkip(contentType string, body []byte) (*SkipStep, error) {
	m := new(SkipStep)
	if err := decode(contentType, body, m); err != nil {
		return nil, err
	}
	switch m.Direction {
	case "", Do.Label(), Undo.Label():
		return m, nil
	}
	return nil, fmt.Errorf("%w of a skip has the direction %.40q: want %s, %s or none", ErrBody, m.Direction, Do.Label(), Undo.Label())
}

func decode(contentType string, body []byte, m proto.Message) error {
	if len(body) > MaxBody {
		return fmt.Errorf("%w has %d bytes: at most %d are allowed", ErrBody, len(body), MaxBody)
	}
	if len(body) == 0 {
		return nil
	}
	form := detectEncoding(contentType, body)
	if err := checkValues(form, body, m); err != nil {
		return err
	}
	switch form {
	case encodingProtobuf:
		return decodeProtobuf(body, m)
	default:
		err := UnmarshalJSON(body, m)
		if err == nil {
			return nil
		}
		// A protobuf string of 123 bytes in field 1, such as the reason of a cancel, also begins with line feed and brace.
		if form == encodingLooksJSON && bytes.HasPrefix(body, []byte("\n{")) && decodeProtobuf(body, m) == nil {
			return nil
		}
		return fmt.Errorf("%w is not a JSON %s: %s", ErrBody, messageName(m), errorText(err))
	}
}

func decodeProtobuf(body []byte, m proto.Message) error {
	if err := unmarshalProtobuf.Unmarshal(body, m); err != nil {
		return fmt.Errorf("%w is not a protobuf %s: %s", ErrBody, messageName(m), errorText(err))
	}
	return nil
}

type bodyEncoding uint8

const (
	encodingProtobuf bodyEncoding = iota
	encodingJSON
	// encodingLooksJSON: without a content type, the body begins like JSON.
	encodingLooksJSON
)

// detectEncoding uses the content type, or else the first byte of the body that is not white space.
func detectEncoding(contentType string, body []byte) bodyEncoding {
	if contentType != "" {
		if containsFold(contentType, "json") {
			return encodingJSON
		}
		if containsFold(contentType, "protobuf") {
			return encodingProtobuf
		}
	}
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{':
			return encodingLooksJSON
		}
		break
	}
	return encodingProtobuf
}

func containsFold(s, lower string) bool { return strings.Contains(strings.ToLower(s), lower) }

func messageName(m proto.Message) string { return string(m.ProtoReflect().Descriptor().Name()) }

// errorText removes the prefix and the no-break spaces that the protobuf library puts into its errors at random.
func errorText(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
}
