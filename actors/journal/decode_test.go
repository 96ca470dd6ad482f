package journal_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// TestUnmarshalMatchesProtobuf: a read decodes and refuses the same entries as the protobuf library, damaged ones included.
func TestUnmarshalMatchesProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &messages.JournalEntry{
			OrderId: "o-1", Number: rapid.Uint32().Draw(t, "number"), Time: timestamppb.Now(), Node: "n", Traceparent: "t",
			Previous: rapid.Uint64().Draw(t, "previous"), Checkpoint: checkpoint(t),
			Events: rapid.SliceOfN(rapid.Custom(event), 0, 3).Draw(t, "events"),
		}
		body, err := journal.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			if len(body) == 0 {
				break
			}
			at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "damage") {
			case 0:
				body[at] = rapid.Byte().Draw(t, "byte")
			case 1:
				body = body[:at]
			case 2: // repeated fields are merged
				body = append(body, body[at:]...)
			}
		}
		want := new(messages.JournalEntry)
		wantErr := proto.Unmarshal(body, want)
		got, err := journal.Unmarshal(body)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err == nil && !proto.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// TestTwoPlansAreMerged: an entry with two plan fields is decoded as by the protobuf library.
func TestTwoPlansAreMerged(t *testing.T) {
	nest := func(field protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), body)
	}
	name, version := nest(1, []byte("order")), protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 7)
	body := nest(6, nest(1, append(nest(2, name), nest(2, version)...)))
	e, err := journal.Unmarshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if p := e.GetEvents()[0].GetAccepted().GetPlan(); p.GetName() != "order" || p.GetVersion() != 7 {
		t.Errorf("plan %v, want order v7", p)
	}
}

// TestPlansAreShared: orders with equal plans share one copy.
func TestPlansAreShared(t *testing.T) {
	accepted := func(id, plan string) *messages.Plan {
		body, err := journal.Encode(nil, &messages.JournalEntry{OrderId: id, Number: 1, Events: []*messages.Event{{
			Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
				Order: &messages.OrderCreated{OrderId: id}, Plan: &messages.Plan{Name: plan, Version: 1}, Incarnation: "i",
			}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := journal.Unmarshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return e.GetEvents()[0].GetAccepted().GetPlan()
	}
	one, two, other := accepted("a", "order"), accepted("b", "order"), accepted("c", "return")
	if one != two {
		t.Error("two orders with the same plan have a copy each")
	}
	if other.GetName() != "return" {
		t.Errorf("plan %s, want return", other.GetName())
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	plan := &messages.Plan{Name: "order", Version: 1}
	for range 4 {
		plan.Steps = append(plan.Steps, &messages.Step{
			Name: "authorize_payment", Do: "nats://payments.authorize", Undo: "nats://payments.void", Retry: &messages.Retry{Attempts: 10},
		})
	}
	body, err := journal.Encode(nil, &messages.JournalEntry{OrderId: "o-1", Number: 1, Node: "n", Events: []*messages.Event{{
		Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Order: &messages.OrderCreated{OrderId: "o-1", CustomerId: "c", Items: []*messages.OrderItem{{ProductId: "p", Quantity: 1}}},
			Plan:  plan, Incarnation: "i",
		}},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := journal.Unmarshal(body); err != nil {
			b.Fatal(err)
		}
	}
}
