package gateway

import (
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

const (
	contentJSON     = "application/json"
	contentProtobuf = "application/protobuf"
)

var (
	toJSON   = protojson.MarshalOptions{UseProtoNames: true}
	fromJSON = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// encodeRequest appends the request to b in the step's encoding and returns its content type. An error is Poison: no attempt
// can succeed with that request.
func encodeRequest(b []byte, c *Call) (body []byte, contentType string, err error) {
	if c.Step.GetEncoding() == messages.Encoding_ENCODING_PROTOBUF {
		body, err = proto.MarshalOptions{}.MarshalAppend(b, c.Request)
		contentType = contentProtobuf
	} else {
		body, err = toJSON.MarshalAppend(b, c.Request)
		contentType = contentJSON
	}
	if err != nil {
		return b, "", poison("encode request of step %s: %w", c.Step.GetName(), err)
	}
	return body, contentType, nil
}

// isJSON reports whether a reply is JSON: by its content type if that names an encoding, else by its first byte (no StepReply
// in protobuf begins with a brace) and the encoding of the request.
func isJSON(contentType string, body []byte, asked messages.Encoding) bool {
	switch contentType = strings.ToLower(contentType); {
	case strings.Contains(contentType, "json"):
		return true
	case strings.Contains(contentType, "protobuf"):
		return false
	}
	return len(body) > 0 && body[0] == '{' || asked != messages.Encoding_ENCODING_PROTOBUF
}
