package journal

import (
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// EncodeSnapshot encodes the snapshot that a timer carries; nil if n is nil or cannot be encoded.
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

// DecodeSnapshot decodes the snapshot that a timer carries; nil if there is none that can be decoded.
func DecodeSnapshot(body []byte) *messages.Snapshot {
	n := new(messages.Snapshot)
	if len(body) == 0 || proto.Unmarshal(body, n) != nil {
		return nil
	}
	return n
}
