package audit

import (
	"hash/maphash"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// snapshotDigest is a digest of a timer's snapshot, because there may be millions of timers.
type snapshotDigest struct {
	// last is the journal sequence of the order's last entry when the snapshot was made, 0 without a readable snapshot.
	last uint64
	hash uint64
}

var digestSeed = maphash.MakeSeed()

// digestBody digests the snapshot in a timer's body.
func digestBody(body []byte) snapshotDigest {
	n := new(messages.Snapshot)
	if proto.Unmarshal(body, n) != nil || !messages.CheckpointSupported(n.GetState()) {
		return snapshotDigest{}
	}
	return digest(n)
}

// digest omits the fields that a history does not keep.
func digest(n *messages.Snapshot) snapshotDigest {
	n.Order = nil
	trimState(n.GetState())
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(n)
	if err != nil {
		return snapshotDigest{}
	}
	return snapshotDigest{last: n.GetLast(), hash: maphash.Bytes(digestSeed, body)}
}

// differs describes a difference between the snapshot and the state of the order's history, or returns "". If the history
// has grown since, the snapshot is not used: the fence refuses the append of its reader.
func (d snapshotDigest) differs(h *history) string {
	if d.last == 0 || h == nil || h.Last != d.last || h.Status() != replay.Parked {
		return ""
	}
	if digest(&messages.Snapshot{
		OrderId:    string(h.ID),
		PlanDigest: []byte(messages.PlanDigest(h.Accepted.GetPlan())),
		Accepted:   h.Accepted.GetDriver().GetSequence(),
		Last:       h.Last,
		Number:     h.Number,
		Checked:    h.Checked,
		State:      h.State,
		Began:      h.Began,
		Changed:    h.Changed,
	}) == d {
		return ""
	}
	return "the snapshot in its timer differs from the state of its history"
}
