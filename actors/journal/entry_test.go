package journal_test

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestKindsAreTheFieldNamesOfTheContract(t *testing.T) {
	var all []*messages.Event
	want := ""
	fields := (&messages.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		e := &messages.Event{}
		e.ProtoReflect().Set(field, protoreflect.ValueOfMessage(e.ProtoReflect().NewField(field).Message()))
		all = append(all, e)
		if i > 0 {
			want += ","
		}
		want += string(field.Name())
		if got := journal.Kinds(&messages.JournalEntry{Events: []*messages.Event{e}}); got != string(field.Name()) {
			t.Errorf("kind of %s: %q", field.Name(), got)
		}
	}
	if got := journal.Kinds(&messages.JournalEntry{Events: all}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	last := &messages.JournalEntry{Events: []*messages.Event{
		{Kind: &messages.Event_StepCompleted{}}, {Kind: &messages.Event_Completed{}},
	}}
	if got := journal.Kinds(last); got != "step_completed,completed" {
		t.Errorf("got %q", got)
	}
	if got := journal.Kinds(&messages.JournalEntry{}); got != "" {
		t.Errorf("got %q for no events", got)
	}
}
