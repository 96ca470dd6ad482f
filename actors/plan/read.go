package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// field is a field of a mapping: its name in the file and the function that reads its value.
type field struct {
	name string
	read func(*yaml.Node) error
}

func readPlan(document *yaml.Node, p *messages.Plan) error {
	return readMapping(document, []field{
		{"name", readString(&p.Name)},
		{"version", readUint32(&p.Version)},
		{"steps", func(n *yaml.Node) error {
			n = resolveAlias(n)
			if n.Kind != yaml.SequenceNode {
				return fmt.Errorf("line %d: want a list of steps", n.Line)
			}
			if len(n.Content) > maxSteps {
				return fmt.Errorf("line %d: there are %d: want 1–%d", n.Line, len(n.Content), maxSteps)
			}
			for i, item := range n.Content {
				s := &messages.Step{}
				if err := readStep(item, s); err != nil {
					return fmt.Errorf("step %s: %w", stepLabel(item, i+1), err)
				}
				p.Steps = append(p.Steps, s)
			}
			return nil
		}},
	})
}

// stepLabel returns the step's name, or its number if it has no valid name.
func stepLabel(step *yaml.Node, number int) string {
	step = resolveAlias(step)
	if _, value := lookup(step, "name"); value != nil && validateName(value.Value) == nil {
		return value.Value
	}
	return strconv.Itoa(number)
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

// canonicalField accepts the proto-JSON spelling of a field.
func canonicalField(field string) string {
	if field == "inDoubt" {
		return "in_doubt"
	}
	return field
}

// withLine puts the line before an error about a plan read from the document: that of the field or, if it is absent, of the
// step or plan. For a step that is an alias it is the line of the alias: the anchor may be valid in another place.
func withLine(document *yaml.Node, err error) error {
	var f *fieldError
	if !errors.As(err, &f) {
		return err
	}
	n := resolveAlias(document)
	line := n.Line
	if f.step != wholePlan {
		_, steps := lookup(n, "steps")
		n = steps.Content[f.step]
		line = n.Line
	}
	for part := range strings.SplitSeq(f.field, ".") {
		key, value := lookup(n, part)
		if key == nil {
			break
		}
		line, n = key.Line, value
	}
	return fmt.Errorf("line %d: %w", line, err)
}

func readStep(n *yaml.Node, s *messages.Step) error {
	return readMapping(n, []field{
		{"name", readString(&s.Name)},
		{"do", readString(&s.Do)},
		{"undo", readString(&s.Undo)},
		{"timeout", readDuration(&s.Timeout)},
		{"retry", func(n *yaml.Node) error {
			s.Retry = &messages.Retry{Attempts: defaultAttempts}
			return readMapping(n, []field{
				{"initial", readDuration(&s.Retry.Initial)},
				{"max", readDuration(&s.Retry.Max)},
				{"attempts", readUint32(&s.Retry.Attempts)},
			})
		}},
		{"limits", func(n *yaml.Node) error {
			s.Limits = &messages.Limits{Concurrency: DefaultConcurrency}
			return readMapping(n, []field{
				{"concurrency", readUint32(&s.Limits.Concurrency)},
				{"rate", readFloat(&s.Limits.Rate)},
			})
		}},
		{"in_doubt", readEnum(&s.InDoubt, "settle or undo", map[string]messages.InDoubt{
			"settle": messages.InDoubt_IN_DOUBT_SETTLE, "IN_DOUBT_SETTLE": messages.InDoubt_IN_DOUBT_SETTLE,
			"undo": messages.InDoubt_IN_DOUBT_UNDO, "IN_DOUBT_UNDO": messages.InDoubt_IN_DOUBT_UNDO,
		})},
		{"encoding", readEnum(&s.Encoding, "json or protobuf", map[string]messages.Encoding{
			"json": messages.Encoding_ENCODING_JSON, "ENCODING_JSON": messages.Encoding_ENCODING_JSON,
			"protobuf": messages.Encoding_ENCODING_PROTOBUF, "ENCODING_PROTOBUF": messages.Encoding_ENCODING_PROTOBUF,
		})},
	})
}

// readMapping reads a mapping. An unknown field, and one given twice in either spelling, is an error.
func readMapping(n *yaml.Node, fields []field) error {
	n = resolveAlias(n)
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want fields (%s)", n.Line, fieldNames(fields))
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
			return fmt.Errorf("line %d: field %.80q is unknown: want %s", key.Line, key.Value, fieldNames(fields))
		case given[name]:
			return fmt.Errorf("line %d: field %q is given twice", key.Line, key.Value)
		}
		given[name] = true
		if err := known.read(n.Content[i+1]); err != nil {
			return fmt.Errorf("%s: %w", known.name, err)
		}
	}
	return nil
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

// scalar returns the text of a scalar that YAML resolves to one of the tags.
func scalar(n *yaml.Node, want string, tags ...string) (string, error) {
	n = resolveAlias(n)
	if n.Kind == yaml.ScalarNode {
		for _, tag := range tags {
			if n.ShortTag() == tag {
				return n.Value, nil
			}
		}
		return "", fmt.Errorf("line %d: %.80q is not %s", n.Line, n.Value, want)
	}
	return "", fmt.Errorf("line %d: want %s", n.Line, want)
}

func readString(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		*to, err = scalar(n, "a text", "!!str")
		return err
	}
}

func readUint32(to *uint32) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n, "a whole number", "!!int")
		if err != nil {
			return err
		}
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return fmt.Errorf("line %d: %.80q is not a whole number from 0 to 4294967295", resolveAlias(n).Line, s)
		}
		*to = uint32(v)
		return nil
	}
}

func readFloat(to *float64) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n, "a number", "!!int", "!!float")
		if err != nil {
			return err
		}
		if *to, err = strconv.ParseFloat(s, 64); err != nil {
			return fmt.Errorf("line %d: %.80q is not a number", resolveAlias(n).Line, s)
		}
		return nil
	}
}

// readDuration reads Go durations, "100ms", which include those of proto-JSON, "0.100s".
func readDuration(to **durationpb.Duration) func(*yaml.Node) error {
	const want = "a duration such as 100ms, 2s or 1m30s"
	return func(n *yaml.Node) error {
		s, err := scalar(n, want, "!!str")
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("line %d: %.80q is not %s", resolveAlias(n).Line, s, want)
		}
		*to = durationpb.New(d)
		return nil
	}
}

func readEnum[T any](to *T, want string, words map[string]T) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n, want, "!!str")
		if err != nil {
			return err
		}
		v, ok := words[s]
		if !ok {
			return fmt.Errorf("line %d: %.80q is not %s", resolveAlias(n).Line, s, want)
		}
		*to = v
		return nil
	}
}
