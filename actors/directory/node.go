package directory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// node is a value of the file with the place where it is.
type node struct {
	*yaml.Node
	problems *problems
	entry    string
	// field is the path of fields within the entry, such as tls.ca, or empty.
	field string
}

// fail adds a problem about n.
func (n node) fail(format string, args ...any) {
	n.problems.add(Problem{Line: n.Line, Entry: n.entry, Field: n.field, Text: fmt.Sprintf(format, args...)})
}

// with is another value at the place of n, its alias resolved.
func (n node) with(value *yaml.Node) node {
	for range 8 {
		if value.Kind != yaml.AliasNode || value.Alias == nil {
			break
		}
		value = value.Alias
	}
	n.Node = value
	return n
}

// in is a value of a field within n.
func (n node) in(field string, value *yaml.Node) node {
	if n.field != "" {
		field = n.field + "." + field
	}
	n.field = field
	return n.with(value)
}

// pair is a key of a mapping, which occurs once, with its value.
type pair struct {
	key   string
	at    node // of the key
	value *yaml.Node
}

// pairs are the keys of a mapping, at most limit.
func (n node) pairs(limit int, want string) []pair {
	if n.Kind != yaml.MappingNode {
		n.fail("want %s", want)
		return nil
	}
	if len(n.Content)/2 > limit {
		n.fail("there are %d: at most %d are allowed", len(n.Content)/2, limit)
		return nil
	}
	var all []pair
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.with(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode:
			key.fail("want %s", want)
		case given[key.Value]:
			key.fail("%.80q is given twice", key.Value)
		default:
			given[key.Value] = true
			all = append(all, pair{key.Value, key, n.Content[i+1]})
		}
	}
	return all
}

// field is a field of a mapping: its name, and the function that reads its value.
type field struct {
	name string
	read func(node)
}

// fields reads a mapping of known fields.
func (n node) fields(known ...field) {
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	want := "fields: " + strings.Join(names, ", ")
	for _, p := range n.pairs(len(known)+maxProblems, want) {
		i := slices.Index(names, p.key)
		if i < 0 {
			p.at.fail("field %.80q is unknown: want %s", p.key, strings.Join(names, ", "))
			continue
		}
		known[i].read(n.in(p.key, p.value))
	}
}

// items are the values of a list, at most limit.
func (n node) items(limit int, want string) []node {
	if n.Kind != yaml.SequenceNode {
		n.fail("want %s", want)
		return nil
	}
	if len(n.Content) > limit {
		n.fail("there are %d: at most %d are allowed", len(n.Content), limit)
		return nil
	}
	all := make([]node, len(n.Content))
	for i, item := range n.Content {
		all[i] = n.with(item)
	}
	return all
}

// scalar returns the text of a scalar that YAML resolves to one of the tags. It does not repeat an invalid value, which may be a
// secret in the wrong place.
func (n node) scalar(want string, tags ...string) (string, bool) {
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) {
		n.fail("want %s", want)
		return "", false
	}
	return n.Value, true
}

func (n node) text(want string) (string, bool) {
	s, ok := n.scalar(want, "!!str")
	if ok && s == "" {
		n.fail("is empty: want %s", want)
	}
	return s, ok && s != ""
}

// number reads a whole number from low to high.
func (n node) number(low, high int) int {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	s, ok := n.scalar(want, "!!int")
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < low || v > high {
		n.fail("%.40q is not %s", s, want)
		return 0
	}
	return v
}

// fraction reads a number for which valid is true.
func (n node) fraction(want string, valid func(float64) bool) float64 {
	s, ok := n.scalar(want, "!!int", "!!float")
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !valid(v) {
		n.fail("%.40q is not %s", s, want)
		return 0
	}
	return v
}

// duration reads a duration from low to high.
func (n node) duration(low, high time.Duration) time.Duration {
	want := fmt.Sprintf("a duration from %s to %s, such as 30s or 24h", low, high)
	s, ok := n.scalar(want, "!!str")
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < low || d > high {
		n.fail("%.40q is not %s", s, want)
		return 0
	}
	return d
}
