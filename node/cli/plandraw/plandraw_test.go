package plandraw_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/node/cli/plandraw"
)

var update = flag.Bool("update", false, "write the expected drawings")

// TestDrawings: the drawings of a plan with every kind of step.
func TestDrawings(t *testing.T) {
	p, err := plan.Load("testdata/plan.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := plandraw.Drawing{Plan: p}
	for name, write := range map[string]func(*strings.Builder) error{
		"plan.txt":     func(b *strings.Builder) error { return d.WriteText(b) },
		"plan.mermaid": func(b *strings.Builder) error { return d.WriteMermaid(b) },
	} {
		var got strings.Builder
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, got.String(), want)
		}
		if strings.Contains(got.String(), "s3cret") {
			t.Errorf("%s shows the query of a URL", file)
		}
	}
}
