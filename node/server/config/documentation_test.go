package config_test

import (
	"os"
	"strings"
	"testing"
)

// TestDocumentation: docs/configuration.md names every variable with its default, and no other.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/configuration.md")
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
			t.Errorf("%s: docs/configuration.md says default %q (row found: %t), want %q", e.Name, got, ok, e.Default)
		}
		delete(defaults, e.Name)
	}
	for name := range defaults {
		t.Errorf("docs/configuration.md has %s, which does not exist", name)
	}
}
