package journal_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestSnapshotOfATimer(t *testing.T) {
	n := &messages.Snapshot{
		OrderId: "o-1", Order: &messages.OrderCreated{OrderId: "o-1"}, PlanDigest: []byte{1},
		Last: 3, State: &messages.Checkpoint{Version: 1, First: 1, Park: 3},
	}
	body := journal.EncodeSnapshot(n)
	if got := journal.DecodeSnapshot(body); !proto.Equal(got, n) {
		t.Errorf("got %v, want %v", got, n)
	}
	for name, body := range map[string][]byte{"nothing": nil, "nonsense": []byte("nonsense"), "cut off": body[:len(body)-1]} {
		if n := journal.DecodeSnapshot(body); n != nil {
			t.Errorf("%s: %v", name, n)
		}
	}
	if body := journal.EncodeSnapshot(nil); body != nil {
		t.Errorf("no snapshot is %q", body)
	}
	if body := journal.EncodeSnapshot(&messages.Snapshot{OrderId: "\xff"}); body != nil {
		t.Errorf("invalid UTF-8 is encoded as %q", body)
	}
}
