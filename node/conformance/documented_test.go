package conformance_test

import (
	"os"
	"strings"
	"testing"
)

// table is the section as Markdown.
func (s section) table() string {
	var b strings.Builder
	b.WriteString("### " + s.title + "\n\n| the service answers | over | the order | the step |\n| --- | --- | --- | --- |\n")
	for _, l := range s.lines {
		b.WriteString(l.cells() + "\n")
	}
	return b.String()
}

// TestLinesAreDocumented compares the tables of docs/services.md with the lines: both have the same rows.
func TestLinesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range sections {
		all = append(all, s.table())
	}
	want := strings.Join(all, "\n")
	_, rest, _ := strings.Cut(string(text), "\n## What a service answers, and what becomes of the order\n")
	got, _, _ := strings.Cut(rest, "\n## ")
	if at := strings.Index(got, "### "); at < 0 || got[at:] != want {
		t.Errorf("docs/services.md should have these tables at the end of its section of answers:\n%s", want)
	}
}
