package gateway

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/plan"
)

// ErrTarget is wrapped by every error about a target.
var ErrTarget = directory.ErrTarget

// maxTargets bounds the cache of targets.
const maxTargets = 1024

// target is a parsed target. Exactly one of subject, url, sim, function and missing is set.
type target struct {
	// name is the target in errors and spans, without credentials and query.
	name    string
	subject string
	url     *url.URL
	sim     *sim
	// function is a name in Functions.
	function string
	// missing is why this node cannot call the target: it names a downstream that the node's file lacks.
	missing string
	entry   *directory.Entry
}

// parseTarget reads a target. The error wraps ErrTarget, says what is allowed and does not repeat credentials.
func parseTarget(s string, d *directory.Directory) (*target, error) {
	if s == "" {
		return nil, fmt.Errorf("%w is missing: %s", ErrTarget, wantTarget)
	}
	scheme, rest, _ := strings.Cut(s, ":")
	_, _, named := plan.Named(s)
	var t *target
	var err error
	switch {
	case named, scheme == "nats", scheme == "http", scheme == "https":
		t, err = parseRemote(s, d)
	case scheme == "sim":
		t, err = parseSim(rest)
	case scheme == "func":
		t, err = parseFunction(rest)
	default:
		return nil, fmt.Errorf("%w has an unknown scheme: %s", ErrTarget, wantTarget)
	}
	if err != nil {
		return nil, err
	}
	t.entry = d.Lookup(s)
	return t, nil
}

const wantTarget = "want nats://subject, http(s)://host/path, downstream/path or sim:…"

func parseRemote(s string, d *directory.Directory) (*target, error) {
	address, e, err := d.Resolve(s)
	if err != nil {
		return &target{name: e.Name, missing: err.Error()}, nil //nolint:nilerr // a call of it is deferred: another node may have it
	}
	a, err := directory.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	return &target{name: a.String(), subject: a.Subject, url: a.URL}, nil
}

// targetCache caches parsed targets. Reads take no lock.
type targetCache struct {
	known atomic.Pointer[map[string]*target]
	mu    sync.Mutex // held while a target is added
}

func (t *targetCache) get(s string, d *directory.Directory) (*target, error) {
	if known := t.known.Load(); known != nil {
		if found, ok := (*known)[s]; ok {
			return found, nil
		}
	}
	parsed, err := parseTarget(s, d)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]*target{}
	if known := t.known.Load(); known != nil && len(*known) < maxTargets {
		next = maps.Clone(*known)
	}
	next[s] = parsed
	t.known.Store(&next)
	return parsed, nil
}
