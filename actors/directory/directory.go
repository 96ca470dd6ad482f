// Package directory knows the downstream services of a node: how each is called, limited and understood. A plan names a
// service and a path (inventory/reserve), or a full URL; the directory is the node's own, so that a service can move while
// orders are in flight, and no plan and no journal holds a credential.
package directory

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// DefaultKeyLifetime is how long a service is expected to remember an idempotency key, unless its entry says otherwise.
const DefaultKeyLifetime = 24 * time.Hour

// maxTargets bounds the cache of targets. There is no bound otherwise: plans change, and a target may contain a query.
const maxTargets = 1024

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

	service *service // nil: not in the file
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
type Directory struct {
	// file is the path of the file, or empty.
	file string
	// entries has each entry under its name and the names it had before.
	entries map[string]*Entry
	// prefixes are the addresses of the entries, longest first.
	prefixes []prefix
	// warnings are about the file, until they are logged.
	warnings []warning
	log      atomic.Pointer[slog.Logger]

	// known caches targets. Reads take no lock.
	known atomic.Pointer[map[string]resolved]
	mu    sync.Mutex // guards writes to known, and warnings
}

// resolved is what a target means.
type resolved struct {
	entry *Entry
	// address is the target to call, a URL. err is why there is none.
	address string
	err     error
}

// none is the directory without entries.
var none = &Directory{}

// Lookup returns the entry of a plan's target.
func (d *Directory) Lookup(target string) *Entry {
	return d.get(target).entry
}

// Resolve returns the URL that a call of target goes to, and the entry. The error says why this node
// cannot call it.
func (d *Directory) Resolve(target string) (string, *Entry, error) {
	r := d.get(target)
	return r.address, r.entry, r.err
}

func (d *Directory) get(target string) resolved {
	if d == nil {
		d = none
	}
	known := d.known.Load()
	if known != nil {
		if r, ok := (*known)[target]; ok {
			return r
		}
	}
	r := d.resolve(target)
	d.mu.Lock()
	defer d.mu.Unlock()
	next := map[string]resolved{}
	if known := d.known.Load(); known != nil && len(*known) < maxTargets {
		next = maps.Clone(*known)
	}
	next[target] = r
	d.known.Store(&next)
	return r
}

func (d *Directory) resolve(target string) resolved {
	if name, rest, ok := plan.Named(target); ok {
		e := d.entries[name]
		if e == nil {
			e = defaultEntry(name, true)
			e.Missing = true
			return resolved{entry: e, err: fmt.Errorf("this node has no downstream %s (ORDERLY_DOWNSTREAMS)", name)}
		}
		return e.at(rest)
	}
	for _, p := range d.prefixes {
		if rest, ok := p.cut(target); ok {
			return p.entry.at(rest)
		}
	}
	return resolved{entry: defaultEntry(plan.Downstream(target)), address: target}
}

func defaultEntry(name string, remote bool) *Entry {
	return &Entry{Name: name, Remote: remote, Rejects: defaultRejects, KeyLifetime: DefaultKeyLifetime}
}

// Check returns an error that wraps ErrTarget if the node cannot call target: it names a downstream that the file lacks, or a
// path that the downstream cannot have. It does not check URLs that are under no entry.
func (d *Directory) Check(target string) error {
	if d == nil {
		d = none
	}
	r := d.resolve(target)
	switch {
	case !r.entry.Missing:
		return r.err
	case len(d.entries) == 0:
		return fmt.Errorf("%w names the downstream %s, and this node has no file of downstreams: set ORDERLY_DOWNSTREAMS", ErrTarget, r.entry.Name)
	}
	return fmt.Errorf("%w names the downstream %s, which %s lacks: it has %s", ErrTarget, r.entry.Name, d.file, d.names())
}

// maxNames is how many names an error lists.
const maxNames = 20

// names lists the entries.
func (d *Directory) names() string {
	all := slices.Sorted(maps.Keys(d.entries))
	all = slices.DeleteFunc(all, func(name string) bool { return d.entries[name].Name != name })
	more := ""
	if n := len(all) - maxNames; n > 0 {
		all, more = all[:maxNames], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(all, ", ") + more
}
