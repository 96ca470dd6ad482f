package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/orderly-engine/orderly/messages"
)

// maxFileBytes is the size of the largest plan file.
const maxFileBytes = 256 << 10

// Load reads the plan file at path, sets the defaults and validates the plan; check is that of Validate. Unless the file cannot
// be read, the error is an *InvalidError that names the file, and of every problem the line, step and field.
func Load(path string, check func(target string) error) (*messages.Plan, error) {
	p, _, err := LoadWithWarnings(path, check, 0)
	return p, err
}

// LoadWithWarnings is Load; it also returns what Warnings says about a valid plan, with lines.
func LoadWithWarnings(path string, check func(target string) error, hold time.Duration) (*messages.Plan, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open plan file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read plan file: %w", err)
	}
	ps := &problems{}
	p := parse(ps, text, check)
	if err := ps.err(); err != nil {
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			invalid.File = path
		}
		return nil, nil, err
	}
	return p, warnings(&problems{label: ps.label, line: ps.line}, p, hold), nil
}

// Parse is Load for the text of a plan file.
func Parse(text []byte, check func(target string) error) (*messages.Plan, error) {
	ps := &problems{}
	p := parse(ps, text, check)
	if err := ps.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func parse(ps *problems, text []byte, check func(target string) error) *messages.Plan {
	file := place{wholePlan, ""}
	if len(text) > maxFileBytes {
		ps.add(file, "the file is larger than %d bytes", maxFileBytes)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		ps.add(file, "the file is empty")
		return nil
	case err != nil:
		ps.add(file, "it is neither YAML nor JSON: %v", err)
		return nil
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		ps.add(file, "the file has more than one document")
		return nil
	}
	p := &messages.Plan{}
	ps.line = func(at place) int { return lineOf(&document, at) }
	ps.label = func(step int) string { return stepLabel(&document, step) }
	reader{ps}.plan(&document, p)
	shareLimits(p.Steps)
	for _, s := range p.Steps {
		fillDefaults(s)
	}
	validate(ps, p, check)
	return p
}
