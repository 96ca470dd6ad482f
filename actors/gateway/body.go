package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

var (
	errEmpty      = errors.New("it is empty")
	errNoResult   = errors.New("it has no result: want one of done, rejected, pending, retry")
	errTwoResults = errors.New("it has more than one result")
)

// stepReply returns the StepReply in the body. The error says why the body is none.
func (a *response) stepReply(asked messages.Encoding) (*messages.StepReply, error) {
	success := a.status == 0 || a.status >= 200 && a.status <= 299
	switch {
	case a.cut != nil:
		return nil, fmt.Errorf("its body broke off after %d bytes: %w", len(a.body), a.cut)
	case a.larger && !success:
		return nil, fmt.Errorf("it has more than %d bytes", a.limit)
	case len(a.body) == 0:
		return nil, errEmpty
	}
	r, err := a.unmarshal(isProtobuf(a.contentType, a.body, asked, success))
	if err != nil && a.larger {
		err = fmt.Errorf("it has more than %d bytes", a.limit)
	}
	return r, err
}

// unmarshal reads the body, or the beginning of a larger one, as a StepReply with exactly one result.
func (a *response) unmarshal(inProtobuf bool) (*messages.StepReply, error) {
	r := &messages.StepReply{}
	var err error
	switch {
	case inProtobuf && a.larger:
		err = proto.Unmarshal(completeProtobuf(a.body, 1), r)
	case inProtobuf:
		if err = proto.Unmarshal(a.body, r); err == nil && hasTwoResults(a.body) {
			err = errTwoResults
		}
	case a.larger:
		err = messages.UnmarshalForeignJSON(completeJSON(a.json()), r)
	default:
		err = messages.UnmarshalForeignJSON(a.json(), r)
	}
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(sanitize(err.Error(), 200), "proto: "))
	}
	if r.GetResult() == nil {
		return nil, errNoResult
	}
	return r, nil
}

// json returns the body without a byte order mark.
func (a *response) json() []byte { return bytes.TrimPrefix(a.body, []byte("\ufeff")) }

// isProtobuf reports whether a body is to be read as protobuf: with a content type that says so; or, if success, as the step
// asked for, unless the content type is another one. An object in JSON is never a StepReply in protobuf.
func isProtobuf(contentType string, body []byte, asked messages.Encoding, success bool) bool {
	switch contentType = strings.ToLower(contentType); {
	case strings.Contains(contentType, "protobuf"):
		return true
	case contentType != "" && !strings.HasPrefix(contentType, "application/octet-stream"), body[0] == '{':
		return false
	}
	return success && asked == messages.Encoding_ENCODING_PROTOBUF
}

// hasTwoResults reports whether a StepReply in protobuf has two different results, of which the last one would win. In JSON a
// second result is an error.
func hasTwoResults(body []byte) bool {
	results := (&messages.StepReply{}).ProtoReflect().Descriptor().Oneofs().ByName("result").Fields()
	var first protowire.Number
	for len(body) > 0 {
		number, _, n := protowire.ConsumeField(body)
		if n < 0 {
			break
		}
		body = body[n:]
		if results.ByNumber(number) == nil {
			continue
		}
		if first != 0 && number != first {
			return true
		}
		first = number
	}
	return false
}
