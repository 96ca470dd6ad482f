package engine

import (
	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/plan"
)

// Downstreams are the services that the steps of plans name, such as payments in URL("payments/capture"): where each is, with
// which credentials it is called, and how it is limited. They are this program's own and in no journal, so a service can move
// while orders are in flight.
type Downstreams = directory.Directory

// ErrInvalidDownstreams is wrapped by errors about the content of a file of downstreams.
var ErrInvalidDownstreams = directory.ErrInvalid

// LoadDownstreams reads a file of downstreams (YAML or JSON) and the files of secrets that it names. The error wraps
// ErrInvalidDownstreams, unless the file cannot be read, and has a line for each problem.
func LoadDownstreams(path string) (*Downstreams, error) { return directory.Load(path) }

// ParseDownstreams is LoadDownstreams for text that was read already. Relative paths in it are relative to dir.
func ParseDownstreams(text []byte, dir string) (*Downstreams, error) {
	return directory.Parse(text, dir)
}

// checkDownstreams returns an error that wraps ErrInvalidPlan if the plan calls a downstream that this program lacks.
func (e *Engine) checkDownstreams() error {
	e.cfg.Downstreams.LogTo(e.cfg.Logger)
	return plan.Validate(e.plan, e.cfg.Downstreams.Check)
}
