// Package directory knows the downstream services of a node: how each is called, limited and understood. A plan names a
// service and a path (inventory/reserve), or a full URL; the directory is the node's own, so that a service can move while
// orders are in flight, and no plan and no journal holds a credential.
package directory

import (
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
)

// DefaultKeyLifetime is how long a service is expected to remember an idempotency key, unless its entry says otherwise.
const DefaultKeyLifetime = 24 * time.Hour

// defaultRejects are the statuses that mean a business no without a StepReply.
var defaultRejects = []int{402, 422}

// Entry is what the node knows about one downstream.
type Entry struct {
	// Name is the unit that fails and is limited.
	Name string
	// Remote is false for targets that are answered in process.
	Remote bool
	// Rejects are the statuses that mean a business no without a StepReply.
	Rejects []int
	// KeyLifetime is how long the service remembers an idempotency key.
	KeyLifetime time.Duration
}

// Directory is the set of a node's downstreams. The nil Directory has no entries: every URL is its own downstream with the
// defaults. It is safe for concurrent use.
type Directory struct{}

// Lookup returns the entry of a plan's target.
func (d *Directory) Lookup(target string) *Entry {
	name, remote := plan.Downstream(target)
	return &Entry{Name: name, Remote: remote, Rejects: defaultRejects, KeyLifetime: DefaultKeyLifetime}
}
