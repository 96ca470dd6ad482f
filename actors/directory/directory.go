// Package directory knows the downstream services of a node: how each is called, limited and understood. A plan names a
// service and a path (inventory/reserve), or a full URL; the directory is the node's own, so that a service can move while
// orders are in flight, and no plan and no journal holds a credential.
package directory

import (
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// DefaultKeyLifetime is how long a service is expected to remember an idempotency key, unless its entry says otherwise.
const DefaultKeyLifetime = 24 * time.Hour

// defaultRejects are the statuses that mean a business no without a StepReply.
var defaultRejects = []int{402, 422}

// Entry is what the node knows about one downstream. It is read-only.
type Entry struct {
	// Name is the unit that fails and is limited.
	Name string
	// Remote is false for targets that are answered in process.
	Remote bool
	// Missing: the target names a downstream that the node lacks, so that no call can be made.
	Missing bool
	// Limits replace those of the plan; nil: those of the plan hold.
	Limits *messages.Limits
	// Circuit sets when the circuit of the downstream opens.
	Circuit Circuit
	// Rejects are the statuses that mean a business no without a StepReply.
	Rejects []int
	// KeyLifetime is how long the service remembers an idempotency key.
	KeyLifetime time.Duration
}

// Circuit sets when the failure rate of a downstream opens its circuit. A zero value means the default of package downstream.
type Circuit struct {
	// FailureRate is the share of failed calls that opens the circuit, more than 0 and at most 1.
	FailureRate float64
	// MinCalls is how many calls must have ended within Window for the rate to count.
	MinCalls int
	// Window is the time over which the rate is taken.
	Window time.Duration
}

// Directory is the set of a node's downstreams. The nil Directory has no entries: every URL is its own downstream with the
// defaults. It is safe for concurrent use.
type Directory struct{}

// Lookup returns the entry of a plan's target.
func (d *Directory) Lookup(target string) *Entry {
	name, remote := plan.Downstream(target)
	return &Entry{Name: name, Remote: remote, Rejects: defaultRejects, KeyLifetime: DefaultKeyLifetime}
}
