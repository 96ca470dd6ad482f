package journal

import (
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// EncodeSnapshot encodes what a timer carries: nothing for nil, or for what cannot be encoded.
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

// DecodeSnapshot decodes what a timer carries, or returns nil. As of entries, the plan is shared with all that have the
// same, and must not change.
func DecodeSnapshot(body []byte) *messages.Snapshot {
	plan, others, found := cut(body, snapshotPlan)
	if !found {
		return nil
	}
	n := new(messages.Snapshot)
	if proto.Unmarshal(others, n) != nil || n.Plan != nil {
		return nil
	}
	if n.Plan = decodedPlan(plan); n.Plan == nil {
		return nil
	}
	return n
}
