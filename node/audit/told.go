package audit

import (
	"hash/maphash"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// told is what a timer tells of its order, in a few bytes: there may be millions of timers.
type told struct {
	// last is the journal sequence that it tells of, 0: it tells nothing.
	last   uint64
	digest uint64
}

var digestSeed = maphash.MakeSeed()

// tell digests a snapshot, less what strip drops of a state. One that this program does not understand tells nothing.
func tell(n *messages.Snapshot) told {
	if !messages.CheckpointSupported(n.GetState()) {
		return told{}
	}
	n.Order = nil
	bareState(n.GetState())
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(n)
	if err != nil {
		return told{}
	}
	return told{last: n.GetLast(), digest: maphash.Bytes(digestSeed, body)}
}

// wrong says that the timer tells something else than the order's history, or "". Of a history that has gone on since
// then nobody believes it: the fence is at its last entry.
func (t told) wrong(h *history) string {
	if t.last == 0 || h == nil || h.state.Last != t.last {
		return ""
	}
	if is := tell(h.state.Snapshot()); is.last == 0 || is == t {
		return ""
	}
	return "its timer tells something else of it than its history"
}

// toldBy digests what a timer carries.
func toldBy(body []byte) told { return tell(journal.DecodeSnapshot(body)) }
