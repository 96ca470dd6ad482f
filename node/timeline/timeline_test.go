package timeline_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestText compares what people read with testdata.
func TestText(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			v, err := timeline.Of(story)
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
		v := timeline.OfReceived("o-1")
		if err := errors.Join(v.WriteText(&text, began), v.PreviewCancel().WriteText(&text)); err != nil {
			t.Fatal(err)
		}
		golden(t, "received.txt", text.String())
	})
}

// TestJSON holds the stable form: a key that changes or goes away breaks programs.
func TestJSON(t *testing.T) {
	for _, name := range []string{"completed", "parked", "attention", "retrying", "cancelled"} {
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

// TestCancellationJSON holds the stable form of what a cancel would do, with nothing in it that may be secret.
func TestCancellationJSON(t *testing.T) {
	for _, name := range []string{"parked", "taken-over", "attention-undo", "skipped-running", "rejected", "stuck"} {
		v, err := timeline.Of(stories[name])
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(v.PreviewCancel(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hidden") {
			t.Errorf("%s shows what follows a target's question mark", name)
		}
		golden(t, "cancel-"+name+".json", string(text)+"\n")
	}
}

// TestEveryKindHasWords: an event kind that is added must be told too.
func TestEveryKindHasWords(t *testing.T) {
	told := map[string]bool{}
	for _, entries := range stories {
		story := timeline.Story{}
		for _, e := range entries {
			events, err := story.Tell(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range events {
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
