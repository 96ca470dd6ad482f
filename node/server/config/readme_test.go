package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/config"
)

// The README's table names every variable with the default in force, and no other.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for name := range strings.SplitSeq(strings.ReplaceAll(cells[1], "`", ""), ",") {
			if name = strings.TrimSpace(name); strings.HasPrefix(name, "ORDERLY_") || strings.HasPrefix(name, "NATS_") {
				defaults[name] = strings.TrimSpace(strings.ReplaceAll(cells[2], "`", ""))
			}
		}
	}
	for _, e := range load(t).Redacted() {
		got, ok := defaults[e.Name]
		// A default may be followed by its unit.
		if !ok || got != e.Default && !strings.HasPrefix(got, e.Default+" ") {
			t.Errorf("%s: the README says default %q (row found: %t), want %q; config.MarkdownTable gives the whole table", e.Name, got, ok, e.Default)
		}
		delete(defaults, e.Name)
	}
	for name := range defaults {
		t.Errorf("the README has %s, which does not exist", name)
	}
	if !strings.HasPrefix(config.MarkdownTable(), "| variable | default |") {
		t.Error("the table has no head")
	}
}
