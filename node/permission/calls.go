package permission

import (
	"slices"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages"
)

// Calls lists the subjects of the plan's calls over NATS. Names of downstreams that the directory, which may be nil, lacks
// are left out.
func Calls(p *messages.Plan, d *directory.Directory) []string {
	var subjects []string
	for _, s := range p.GetSteps() {
		for _, target := range []string{s.GetDo(), s.GetUndo()} {
			address, _, err := d.Resolve(target)
			if err != nil {
				continue
			}
			if a, err := directory.ParseAddress(address); err == nil && a.Subject != "" && !slices.Contains(subjects, a.Subject) {
				subjects = append(subjects, a.Subject)
			}
		}
	}
	return subjects
}
