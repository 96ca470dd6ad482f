package deploy_test

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// TestEveryVariableIsDocumented: docs/configuration.md names exactly the variables that a node reads.
func TestEveryVariableIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:NATS|ORDERLY)_[A-Z0-9_]+)` \\|").FindAllStringSubmatch(read(t, "../docs/configuration.md"), -1) {
		documented[m[1]] = true
	}
	names := slices.Sorted(maps.Keys(documented))
	if want := slices.Sorted(slices.Values(configured(t))); !slices.Equal(names, want) {
		t.Errorf("docs/configuration.md names %v, a node reads %v", names, want)
	}
}
