package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/orderly-engine/orderly/messages"
)

// maxFileBytes is the size of the largest plan file.
const maxFileBytes = 256 << 10

// Load reads the plan file at path, sets the defaults and validates the plan; check is that of Validate. Unless the file cannot
// be read, the error wraps ErrInvalid. It names the file and, where there is one, the step, field and line.
func Load(path string, check func(target string) error) (*messages.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open plan file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read plan file: %w", err)
	}
	p, err := Parse(text, check)
	if err != nil {
		return nil, fmt.Errorf("plan file %s: %w", path, err)
	}
	return p, nil
}

// Parse is Load for the text of a plan file.
func Parse(text []byte, check func(target string) error) (*messages.Plan, error) {
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%w: the file is larger than %d bytes", ErrInvalid, maxFileBytes)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: the file is empty", ErrInvalid)
	case err != nil:
		return nil, fmt.Errorf("%w: it is neither YAML nor JSON: %w", ErrInvalid, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the file has more than one document", ErrInvalid)
	}
	p := &messages.Plan{}
	if err := readPlan(&document, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	shareLimits(p.Steps)
	for _, s := range p.Steps {
		fillDefaults(s)
	}
	if err := validate(p, check); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, withLine(&document, err))
	}
	return p, nil
}
