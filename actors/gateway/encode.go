package gateway

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

const (
	contentJSON     = "application/json"
	contentProtobuf = "application/protobuf"
)

// encodeRequest appends the request to b in the step's encoding and returns its content type. Equal requests have equal bytes.
// An error is Poison: no attempt can succeed with that request.
func encodeRequest(b []byte, c *Call) (body []byte, contentType string, err error) {
	if c.Step.GetEncoding() == messages.Encoding_ENCODING_PROTOBUF {
		body, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, c.Request)
		contentType = contentProtobuf
	} else {
		body, err = messages.AppendJSON(b, c.Request)
		contentType = contentJSON
	}
	if err != nil {
		return b, "", fail(messages.Poison, false, "encode request of step %s: %w", c.Step.GetName(), err)
	}
	return body, contentType, nil
}

// headers passes to set the headers of a request, which the body does not have but the key.
func (p *pendingCall) headers(set func(key, value string)) {
	set(messages.HeaderIdempotencyKey, p.call.Request.GetIdempotencyKey())
	set(messages.HeaderAttempt, strconv.FormatUint(uint64(p.call.Attempt), 10))
	set(messages.HeaderFencingToken, strconv.FormatUint(p.call.FencingToken, 10))
	for _, key := range p.trace.Keys() {
		if value := p.trace.Get(key); value != "" {
			set(key, value)
		}
	}
}
