package deploy_test

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// The table in the README names exactly the variables a node reads.
func TestREADMENamesEveryVariable(t *testing.T) {
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:NATS|ORDERLY)_[A-Z0-9_]+)` \\|").FindAllStringSubmatch(read(t, "../README.md"), -1) {
		documented[m[1]] = true
	}
	names := slices.Sorted(maps.Keys(documented))
	if want := slices.Sorted(slices.Values(configured(t))); !slices.Equal(names, want) {
		t.Errorf("the README names %v, a node reads %v", names, want)
	}
}
