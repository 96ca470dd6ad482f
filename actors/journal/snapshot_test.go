package journal_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestSnapshotOfATimer(t *testing.T) {
	of := func(plan string) *messages.Snapshot {
		return &messages.Snapshot{
			OrderId: "o-1", Order: &messages.OrderCreated{OrderId: "o-1"}, Plan: &messages.Plan{Name: plan, Version: 1},
			Last: 3, State: &messages.Checkpoint{Version: 1, First: 1}, Park: 3,
		}
	}
	first, again := journal.DecodeSnapshot(journal.EncodeSnapshot(of("a"))), journal.DecodeSnapshot(journal.EncodeSnapshot(of("a")))
	if !proto.Equal(first, of("a")) {
		t.Errorf("got %v", first)
	}
	if first.Plan != again.Plan {
		t.Error("two orders of the same plan do not share it")
	}
	if other := journal.DecodeSnapshot(journal.EncodeSnapshot(of("b"))); !proto.Equal(other, of("b")) {
		t.Errorf("after another plan: %v", other)
	}
	body := journal.EncodeSnapshot(of("a"))
	if !proto.Equal(journal.DecodeSnapshot(body), of("a")) || !bytes.Equal(body, journal.EncodeSnapshot(of("a"))) {
		t.Error("to decode it changed it")
	}
	unplanned := of("a")
	unplanned.Plan = nil
	for name, body := range map[string][]byte{
		"nothing": nil, "nonsense": []byte("nonsense"), "cut off": body[:len(body)-1],
		"no plan": journal.EncodeSnapshot(unplanned), "two plans": append(bytes.Clone(body), body...),
	} {
		if n := journal.DecodeSnapshot(body); n != nil {
			t.Errorf("%s: %v", name, n)
		}
	}
	if body := journal.EncodeSnapshot(nil); body != nil {
		t.Errorf("no snapshot is %q", body)
	}
	if body := journal.EncodeSnapshot(&messages.Snapshot{OrderId: "\xff"}); body != nil {
		t.Errorf("what is not UTF-8 is %q", body)
	}
}
