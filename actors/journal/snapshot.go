package journal

import (
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// EncodeSnapshot encodes the snapshot of a timer; nil if n is nil or cannot be encoded.
func EncodeSnapshot(n *messages.Snapshot) []byte {
	if n == nil {
		return nil
	}
	body, err := proto.Marshal(n)
	if err != nil {
		return nil
	}
	return body
}

// DecodeSnapshot decodes the snapshot of a timer; nil if it is absent or cannot be decoded.
func DecodeSnapshot(body []byte) *messages.Snapshot {
	n := new(messages.Snapshot)
	if len(body) == 0 || proto.Unmarshal(body, n) != nil {
		return nil
	}
	return n
}
