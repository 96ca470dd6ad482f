package timeline_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// began is when every story begins.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(began.Add(d)) }

func driver(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamOrders, Sequence: seq}
}

// moment is one journal entry.
type moment struct {
	after  time.Duration
	events []*messages.Event
}

// entries numbers the moments as the journal would.
func entries(moments ...moment) []journal.Entry {
	var all []journal.Entry
	for i, m := range moments {
		all = append(all, journal.Entry{Sequence: uint64(10 * (i + 1)), Entry: &messages.JournalEntry{
			OrderId: "o-1", Number: uint32(i + 1), Time: at(m.after), Node: "node-1", Events: m.events,
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}})
	}
	return all
}

func then(after time.Duration, events ...*messages.Event) moment { return moment{after, events} }

func accepted() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{
			OrderId: "o-1", CustomerId: "c-7", Currency: "EUR", TotalAmount: 19,
			Items: []*messages.OrderItem{{ProductId: "sku-1", Quantity: 2, UnitPrice: 9.5}},
		},
		Plan: &messages.Plan{Name: "order", Version: 2, Steps: []*messages.Step{
			{Name: "reserve", Do: "sim:", Undo: "sim:"}, {Name: "pay", Do: "sim:", Undo: "sim:"},
		}},
		Driver: driver(1), Incarnation: "a",
	}}}
}

func done(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
		Step: step, Attempt: 1, TookUs: 1234, Data: structpb.NewStringValue("r-1"),
	}}}
}

func failed(step string, d messages.Direction, attempt uint32, retry time.Duration) *messages.Event {
	f := &messages.StepFailed{Step: step, Direction: d, Attempt: attempt, Kind: messages.Transient, Error: "no responders"}
	if retry > 0 {
		f.RetryAt = at(retry)
	}
	return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: f}}
}

func attention(step string, d messages.Direction, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{
		Step: step, Direction: d, Kind: messages.Transient, Cause: cause,
	}}}
}

func recorded(seq uint64, t messages.Type) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Recorded{Recorded: &messages.MessageRecorded{Source: driver(seq), Type: string(t)}}}
}

func resumed(seq uint64, incarnation, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: driver(seq), Incarnation: incarnation, Cause: cause}}}
}

func completed() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
}

func undone(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: step, Attempt: 1, TookUs: 800}}}
}

func cancelRequested(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: driver(seq), Reason: "changed my mind"}}}
}

// stories has every kind of event at least once.
var stories = map[string][]journal.Entry{
	"completed": entries(
		then(0, accepted()),
		then(2*time.Millisecond, done("reserve")),
		then(3*time.Millisecond, failed("pay", messages.Do, 1, 103*time.Millisecond)),
		then(104*time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "pay", Attempt: 2, TookUs: 56}}}, completed()),
	),
	"rejected": entries(
		then(0, accepted()),
		then(2*time.Millisecond, done("reserve")),
		then(4*time.Millisecond, &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: "pay", Code: "card_declined", Reason: "the card was declined"}}}),
		then(5*time.Millisecond, undone("reserve"), &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "card_declined", Reason: "the card was declined"}}}),
	),
	"cancelled": entries(
		then(0, accepted()),
		then(2*time.Millisecond, done("reserve")),
		then(time.Second, cancelRequested(2)),
		then(1100*time.Millisecond, done("pay")),
		then(1200*time.Millisecond, undone("pay")),
		then(1300*time.Millisecond, undone("reserve"), &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{Reason: "changed my mind"}}}),
	),
	"attention": entries(
		then(0, accepted()),
		then(2*time.Millisecond, failed("reserve", messages.Do, 1, 0), attention("reserve", messages.Do, "no responders")),
	),
	"attention-undo": entries(
		then(0, accepted()),
		then(2*time.Millisecond, done("reserve")),
		then(time.Second, cancelRequested(2)),
		then(1100*time.Millisecond, &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: "pay", Code: "no"}}}),
		then(90*time.Second, failed("reserve", messages.Undo, 1, 0), attention("reserve", messages.Undo, "no responders")),
	),
	"skipped": entries(
		then(0, accepted()),
		then(2*time.Millisecond, failed("reserve", messages.Do, 1, 0), attention("reserve", messages.Do, "no responders")),
		then(time.Hour, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		then(time.Hour+time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "reserve", Skipped: true}}}),
		then(time.Hour+2*time.Millisecond, done("pay"), completed()),
	),
	"parked": entries(
		then(0, accepted()),
		then(time.Millisecond, resumed(1, "b", "takeover")),
		then(2*time.Millisecond,
			&messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: "reserve", Signal: "reserved", Deadline: at(time.Hour)}}},
			&messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "step reserve waits for signal reserved", Until: at(time.Hour)}}}),
	),
	"signalled": entries(
		then(0, accepted()),
		then(2*time.Millisecond,
			&messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: "reserve", Signal: "reserved", Deadline: at(time.Hour)}}},
			&messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "step reserve waits for signal reserved", Until: at(time.Hour)}}}),
		then(time.Minute, &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: driver(2), Name: "reserved"}}}, resumed(2, "b", "signal")),
		then(time.Minute+time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "reserve", Signal: "reserved", Attempt: 1}}}),
	),
	// What strangers wrote stays on its line and away from the terminal.
	"hostile": entries(
		then(0, accepted()),
		then(2*time.Millisecond, attention("reserve", messages.Do, "boom\n  +1ms\tnode-9\torder completed\x1b[31m")),
	),
}

// TestText compares what people read with testdata.
func TestText(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			v, err := timeline.Of(story)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := v.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.String())
		})
	}
	t.Run("received", func(t *testing.T) {
		var text strings.Builder
		if err := (&timeline.View{OrderID: "o-1", Status: "received"}).WriteText(&text); err != nil {
			t.Fatal(err)
		}
		golden(t, "received.txt", text.String())
	})
}

// TestJSON holds the stable form: a key that changes or goes away breaks programs.
func TestJSON(t *testing.T) {
	for _, name := range []string{"completed", "parked", "attention"} {
		v, err := timeline.Of(stories[name])
		if err != nil {
			t.Fatal(err)
		}
		// The detail comes from a library that varies its white space on purpose.
		for i := range v.Events {
			var detail any
			if err := json.Unmarshal(v.Events[i].Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if v.Events[i].Detail, err = json.Marshal(detail); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", string(text)+"\n")
	}
}

// TestEveryKindHasWords: an event kind that is added must be told too.
func TestEveryKindHasWords(t *testing.T) {
	told := map[string]bool{}
	for _, story := range stories {
		for _, e := range story {
			for _, event := range timeline.Events(e) {
				told[event.Kind] = true
				if strings.Contains(event.Summary, "does not know") || event.Summary == "" {
					t.Errorf("%s has the summary %q", event.Kind, event.Summary)
				}
			}
		}
	}
	kinds := (&messages.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		if name := string(kinds.Get(i).Name()); !told[name] {
			t.Errorf("no story tells of %s", name)
		}
	}
}

func TestIllegalHistory(t *testing.T) {
	if _, err := timeline.Of(entries(then(0, completed()))); !errors.Is(err, order.ErrIllegal) {
		t.Errorf("error %v: want one that wraps ErrIllegal", err)
	}
}

func TestEnds(t *testing.T) {
	for word, want := range map[string]bool{"completed": true, "rejected": true, "cancelled": true, "parked": false, "": false} {
		if timeline.Ends(word) != want {
			t.Errorf("Ends(%q) is %v", word, !want)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nrun with -update if this is meant", name, got, want)
	}
}
