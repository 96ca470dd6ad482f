package messages

import (
	"crypto/sha256"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
)

// cachedDigest is the digest of one plan.
type cachedDigest struct {
	plan   *Plan
	digest string
}

// lastPlanDigest is that of the last plan: a node uses one.
var lastPlanDigest atomic.Pointer[cachedDigest]

// PlanDigest returns the first 16 bytes of the SHA-256 of the plan's encoding, or "" if it cannot be encoded. p must not
// change afterwards. Versions of this program may encode the same plan differently and get another digest.
func PlanDigest(p *Plan) string {
	if last := lastPlanDigest.Load(); last != nil && last.plan == p {
		return last.digest
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	digest := string(sum[:16])
	lastPlanDigest.Store(&cachedDigest{plan: p, digest: digest})
	return digest
}
