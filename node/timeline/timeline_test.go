package timeline_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestText compares the text form with testdata.
func TestText(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			v, err := timeline.New(story)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := v.WriteText(&text, began.Add(cmp.Or(viewed[name], 2*time.Hour))); err != nil {
				t.Fatal(err)
			}
			text.WriteString("\nConclusion:\n" + v.Conclusion() + "\n\nCancel --dry-run:\n")
			if err := v.PreviewCancel().WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.String())
		})
	}
	t.Run("received", func(t *testing.T) {
		var text strings.Builder
		v := timeline.NewReceived("o-1", began)
		if err := errors.Join(v.WriteText(&text, began), v.PreviewCancel().WriteText(&text)); err != nil {
			t.Fatal(err)
		}
		golden(t, "received.txt", text.String())
	})
}

// TestReceivedJSON: an order that is only received has all fields that are never omitted.
func TestReceivedJSON(t *testing.T) {
	text, err := json.MarshalIndent(timeline.NewReceived("o-1", began), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "received.json", string(text)+"\n")
}

func TestNeedsAttention(t *testing.T) {
	for name, want := range map[string]string{
		"attention": "reserve/do true", "attention-undo": "reserve/undo true", "parked": "/ false", "completed": "/ false",
	} {
		v, err := timeline.New(stories[name])
		if err != nil {
			t.Fatal(err)
		}
		step, direction, needed := v.NeedsAttention()
		if got := fmt.Sprintf("%s/%s %t", step, direction, needed); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if _, _, needed := timeline.NewReceived("o-1", began).NeedsAttention(); needed {
		t.Error("an order that is only received needs attention")
	}
}

func TestAwaited(t *testing.T) {
	for want, awaited := range map[string]timeline.PendingMessages{
		"1 message about it waits, and becomes a dead letter unless it comes within ORDERLY_UNKNOWN_AGE":        {Messages: 1},
		"2 messages about it wait, and become dead letters unless it comes within ORDERLY_UNKNOWN_AGE":          {Messages: 2},
		"16 messages or more about it wait, and become dead letters unless it comes within ORDERLY_UNKNOWN_AGE": {Messages: 16, More: true},
	} {
		if got := awaited.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestJSON checks the stable JSON form: a key that is changed or removed breaks programs.
func TestJSON(t *testing.T) {
	for _, name := range []string{"completed", "parked", "attention", "retrying", "cancelled", "unreadable"} {
		v, err := timeline.New(stories[name])
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

// TestCancellationJSON holds the stable form of what a cancel would do, with nothing in it that may be secret.
func TestCancellationJSON(t *testing.T) {
	for _, name := range []string{"parked", "taken-over", "attention-undo", "skipped-running", "rejected", "stuck"} {
		v, err := timeline.New(stories[name])
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(v.PreviewCancel(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hidden") {
			t.Errorf("%s shows the query of a target", name)
		}
		golden(t, "cancel-"+name+".json", string(text)+"\n")
	}
}

// TestEveryKindHasSummary: every event kind must occur in the stories.
func TestEveryKindHasSummary(t *testing.T) {
	seen := map[string]bool{}
	for _, entries := range stories {
		story := timeline.Story{}
		for _, e := range entries {
			events, err := story.Apply(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range events {
				seen[event.Kind] = true
				if strings.Contains(event.Summary, "does not know") || event.Summary == "" {
					t.Errorf("%s has the summary %q", event.Kind, event.Summary)
				}
			}
		}
	}
	kinds := (&messages.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		if name := string(kinds.Get(i).Name()); !seen[name] {
			t.Errorf("no story has the event %s", name)
		}
	}
}

func TestIllegalHistory(t *testing.T) {
	if _, err := timeline.New(entries(entryAfter(0, completed()))); !errors.Is(err, order.ErrIllegal) {
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
