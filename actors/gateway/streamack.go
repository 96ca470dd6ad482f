package gateway

import (
	"encoding/json"

	"github.com/orderly-engine/orderly/messages"
)

// minStreamError is the smallest error code of JetStream.
const minStreamError = 10000

// streamAck returns a Setup failure if a NATS reply is what JetStream answers to a message that a stream stores, or refuses to
// store. The service may have received the message as well.
func (p *pendingCall) streamAck(a *response) error {
	if p.target.subject == "" || a.status != 0 || len(a.body) == 0 || a.body[0] != '{' {
		return nil
	}
	var ack struct {
		Stream string
		Seq    *uint64
		Error  struct {
			Code        int `json:"err_code"`
			Description string
		}
	}
	isAck := json.Unmarshal(a.body, &ack) == nil
	stream := "a stream"
	if ack.Stream != "" {
		stream = "stream " + sanitize(ack.Stream, maxNameBytes)
	}
	switch {
	case !isAck:
		return nil
	case ack.Error.Code >= minStreamError:
		return p.fail(messages.Setup, true, "%s stores the messages of subject %s, refused this one (%s) and answered in place of the service: take the subject out of the stream",
			stream, p.target.subject, sanitize(ack.Error.Description, maxReasonBytes/2))
	case ack.Stream != "" && ack.Seq != nil:
		return p.fail(messages.Setup, true, "%s stores the messages of subject %s and acknowledges them in place of the service: take the subject out of the stream",
			stream, p.target.subject)
	}
	return nil
}
