package messages

import (
	"crypto/sha256"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
)

// digested is the digest of the plan that was used last; a node has one.
type cachedDigest struct {
	plan   *Plan
	digest string
}

var lastPlanDigest atomic.Pointer[cachedDigest]

// DigestPlan tells a plan, which must not change, from every other in 16 bytes. Programs that encode differently take the
// same plan for different ones.
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
