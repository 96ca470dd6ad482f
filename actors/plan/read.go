package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// reader reads a document into a plan and collects the problems.
type reader struct{ *problems }

// field is a field of a mapping: its name in the file and the function that reads its value.
type field struct {
	name string
	read func(at place, value *yaml.Node)
}

func (r reader) plan(document *yaml.Node, p *messages.Plan) {
	r.mapping(place{wholePlan, ""}, document, []field{
		{"name", r.text(&p.Name)},
		{"version", r.uint32(&p.Version)},
		{"steps", func(at place, n *yaml.Node) {
			n = resolveAlias(n)
			if n.Kind != yaml.SequenceNode {
				r.addAt(n.Line, at, "steps: want a list of steps")
				return
			}
			if len(n.Content) > maxSteps {
				r.addAt(n.Line, at, "steps: there are %d: want 1–%d", len(n.Content), maxSteps)
				return
			}
			for i, item := range n.Content {
				s := &messages.Step{}
				r.step(i, item, s)
				p.Steps = append(p.Steps, s)
			}
		}},
	})
}

// stepLabel returns the name of a step, or its number if it has no name of its own.
func stepLabel(document *yaml.Node, step int) string {
	name := stepName(document, step)
	for i := range step {
		if stepName(document, i) == name {
			name = ""
		}
	}
	if !validName(name) {
		return strconv.Itoa(step + 1)
	}
	return name
}

func stepName(document *yaml.Node, step int) string {
	_, value := lookup(resolveAlias(stepNode(document, step)), "name")
	if value == nil {
		return ""
	}
	return value.Value
}

// lookup returns a field of a mapping; nil and nil if it is absent.
func lookup(n *yaml.Node, field string) (key, value *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if key = resolveAlias(n.Content[i]); canonicalField(key.Value) == field {
			return key, resolveAlias(n.Content[i+1])
		}
	}
	return nil, nil
}

// canonicalField accepts the proto-JSON spelling of a field, such as inDoubt.
func canonicalField(field string) string {
	var b strings.Builder
	for _, c := range field {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// stepNode returns the node of a step, which must exist.
func stepNode(document *yaml.Node, step int) *yaml.Node {
	_, steps := lookup(resolveAlias(document), "steps")
	return steps.Content[step]
}

// lineOf returns the line of a place in the document: that of the field or, if it is absent, of what contains it. For a step
// that is an alias it is the line of the alias: the anchor may be valid in another place.
func lineOf(document *yaml.Node, at place) int {
	n := resolveAlias(document)
	line := n.Line
	if at.step != wholePlan {
		n = stepNode(document, at.step)
		line = n.Line
	}
	for part := range strings.SplitSeq(at.field, ".") {
		key, value := lookup(n, part)
		if key == nil {
			break
		}
		line, n = key.Line, value
	}
	return line
}

func (r reader) step(i int, n *yaml.Node, s *messages.Step) {
	r.mapping(place{i, ""}, n, []field{
		{"name", r.text(&s.Name)},
		{"do", r.text(&s.Do)},
		{"undo", r.text(&s.Undo)},
		{"timeout", r.duration(&s.Timeout)},
		{"retry", func(at place, n *yaml.Node) {
			s.Retry = &messages.Retry{Attempts: defaultAttempts}
			r.mapping(at, n, []field{
				{"initial", r.duration(&s.Retry.Initial)},
				{"max", r.duration(&s.Retry.Max)},
				{"attempts", r.uint32(&s.Retry.Attempts)},
			})
		}},
		{"limits", func(at place, n *yaml.Node) {
			s.Limits = &messages.Limits{Concurrency: DefaultConcurrency}
			r.mapping(at, n, []field{
				{"concurrency", r.uint32(&s.Limits.Concurrency)},
				{"rate", r.float(&s.Limits.Rate)},
			})
		}},
		{"in_doubt", readEnum(r, &s.InDoubt, "settle or undo", map[string]messages.InDoubt{
			"settle": messages.InDoubt_IN_DOUBT_SETTLE, "IN_DOUBT_SETTLE": messages.InDoubt_IN_DOUBT_SETTLE,
			"undo": messages.InDoubt_IN_DOUBT_UNDO, "IN_DOUBT_UNDO": messages.InDoubt_IN_DOUBT_UNDO,
		})},
		{"encoding", readEnum(r, &s.Encoding, "json or protobuf", map[string]messages.Encoding{
			"json": messages.Encoding_ENCODING_JSON, "ENCODING_JSON": messages.Encoding_ENCODING_JSON,
			"protobuf": messages.Encoding_ENCODING_PROTOBUF, "ENCODING_PROTOBUF": messages.Encoding_ENCODING_PROTOBUF,
		})},
		{"reply", r.reading(&s.Reply)},
		{"undo_reply", r.reading(&s.UndoReply)},
		{"nothing_to_undo", r.codes(&s.NothingToUndo)},
	})
}

func (r reader) reading(to **messages.Reading) func(place, *yaml.Node) {
	return func(at place, n *yaml.Node) {
		v := &messages.Reading{}
		*to = v
		r.mapping(at, n, []field{
			{"done_when", r.text(&v.DoneWhen)},
			{"rejected_when", r.text(&v.RejectedWhen)},
			{"pending_when", r.text(&v.PendingWhen)},
			{"retry_when", r.text(&v.RetryWhen)},
			{"data", r.text(&v.Data)},
			{"code", r.text(&v.Code)},
			{"reason", r.text(&v.Reason)},
		})
	}
}

// codes reads a list of texts. A status may be written as a number.
func (r reader) codes(to *[]string) func(place, *yaml.Node) {
	return func(at place, n *yaml.Node) {
		n = resolveAlias(n)
		if n.Kind != yaml.SequenceNode {
			r.addAt(n.Line, at, "%s: want a list of codes", at.field)
			return
		}
		for _, item := range n.Content {
			r.scalar("a text or a status", func(s string) bool {
				*to = append(*to, s)
				return true
			}, "!!str", "!!int")(at, item)
		}
	}
}

// mapping reads a mapping. An unknown field, and one given twice in either spelling, is a problem.
func (r reader) mapping(at place, n *yaml.Node, fields []field) {
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		r.addAt(n.Line, at, "%swant fields (%s)", prefix(at), fieldNames(fields))
		return
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolveAlias(n.Content[i])
		name := canonicalField(key.Value)
		var known *field
		for f := range fields {
			if fields[f].name == name && key.Kind == yaml.ScalarNode {
				known = &fields[f]
			}
		}
		switch {
		case known == nil:
			r.addAt(key.Line, at.in(fmt.Sprintf("%.80q", key.Value)), "%sfield %.80q is unknown: want %s", prefix(at), key.Value, fieldNames(fields))
		case given[name]:
			r.addAt(key.Line, at.in(fmt.Sprintf("%q", key.Value)), "%sfield %q is given twice", prefix(at), key.Value)
		default:
			given[name] = true
			known.read(at.in(name), n.Content[i+1])
		}
	}
}

// prefix is the field of a place with a colon, or empty.
func prefix(at place) string {
	if at.field == "" {
		return ""
	}
	return at.field + ": "
}

func fieldNames(fields []field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.name)
	}
	return b.String()
}

// resolveAlias returns the content of a document and the anchor of an alias.
func resolveAlias(n *yaml.Node) *yaml.Node {
	for range 8 {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode && n.Alias != nil:
			n = n.Alias
		default:
			return n
		}
	}
	return n
}

// scalar returns a function that reads a scalar which YAML resolves to one of the tags. set takes its text and reports whether
// it is valid.
func (r reader) scalar(want string, set func(text string) bool, tags ...string) func(place, *yaml.Node) {
	return func(at place, n *yaml.Node) {
		n = resolveAlias(n)
		switch {
		case n.Kind != yaml.ScalarNode:
			r.addAt(n.Line, at, "%s: want %s", at.field, want)
		case !slices.Contains(tags, n.ShortTag()) || !set(n.Value):
			r.addAt(n.Line, at, "%s: %.80q is not %s", at.field, n.Value, want)
		}
	}
}

func (r reader) text(to *string) func(place, *yaml.Node) {
	return r.scalar("a text", func(s string) bool {
		*to = s
		return true
	}, "!!str")
}

func (r reader) uint32(to *uint32) func(place, *yaml.Node) {
	return r.scalar("a whole number from 0 to 4294967295", func(s string) bool {
		v, err := strconv.ParseUint(s, 10, 32)
		*to = uint32(v)
		return err == nil
	}, "!!int")
}

func (r reader) float(to *float64) func(place, *yaml.Node) {
	return r.scalar("a number", func(s string) (valid bool) {
		v, err := strconv.ParseFloat(s, 64)
		*to = v
		return err == nil
	}, "!!int", "!!float")
}

// duration reads Go durations, "100ms", which include those of proto-JSON, "0.100s".
func (r reader) duration(to **durationpb.Duration) func(place, *yaml.Node) {
	return r.scalar("a duration such as 100ms, 2s or 1m30s", func(s string) bool {
		d, err := time.ParseDuration(s)
		if err == nil {
			*to = durationpb.New(d)
		}
		return err == nil
	}, "!!str")
}

func readEnum[T any](r reader, to *T, want string, words map[string]T) func(place, *yaml.Node) {
	return r.scalar(want, func(s string) bool {
		v, ok := words[s]
		if ok {
			*to = v
		}
		return ok
	}, "!!str")
}
