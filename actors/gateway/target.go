package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/orderly-engine/orderly/messages"
)

// ErrTarget is wrapped by every error about a target URL.
var ErrTarget = errors.New("target")

const (
	maxTarget  = 1024 // bytes of a target URL
	maxSubject = 255  // bytes of a NATS subject
	maxTargets = 1024 // cached parsed targets
)

// target is a parsed target URL. Exactly one of subject, url, sim and function is set.
type target struct {
	// name is the target in errors and spans, without credentials and query.
	name    string
	subject string
	url     *url.URL
	sim     *sim
	// function is a name in Functions.
	function string
}

// parseTarget reads a target URL. The error wraps ErrTarget, says what is allowed and does not repeat credentials.
func parseTarget(s string) (*target, error) {
	if s == "" {
		return nil, fmt.Errorf("%w is missing: want nats://subject, http(s)://host/path or sim:…", ErrTarget)
	}
	if len(s) > maxTarget {
		return nil, fmt.Errorf("%w has %d bytes: at most %d are allowed", ErrTarget, len(s), maxTarget)
	}
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "nats":
		return parseNATS(rest)
	case "http", "https":
		return parseHTTP(s)
	case "sim":
		return parseSim(rest)
	case "func":
		return parseFunction(rest)
	}
	return nil, fmt.Errorf("%w has an unknown scheme: want nats://subject, http(s)://host/path or sim:…", ErrTarget)
}

func parseNATS(rest string) (*target, error) {
	const want = "want nats://subject, for example nats://inventory.reserve (the server is set by NATS_URL)"
	subject, ok := strings.CutPrefix(rest, "//")
	if !ok || subject == "" {
		return nil, fmt.Errorf("%w has no NATS subject: %s", ErrTarget, want)
	}
	if len(subject) > maxSubject {
		return nil, fmt.Errorf("%w: NATS subject has %d bytes: at most %d are allowed", ErrTarget, len(subject), maxSubject)
	}
	for _, c := range []byte(subject) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("*>/?#@:%\\\"", c) >= 0 {
			return nil, fmt.Errorf("%w: a NATS subject cannot contain %q: %s", ErrTarget, string(rune(c)), want)
		}
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" {
			return nil, fmt.Errorf("%w: NATS subject %q has an empty token: %s", ErrTarget, subject, want)
		}
	}
	for _, own := range []string{
		messages.SubjectOrder, messages.SubjectEvent, messages.SubjectTimer, messages.SubjectWake, messages.SubjectDead,
		messages.SubjectPlan, "$",
	} {
		if strings.HasPrefix(subject, own) {
			return nil, fmt.Errorf("%w: NATS subject %q belongs to Orderly or to NATS itself: name a service's subject", ErrTarget, subject)
		}
	}
	return &target{name: "nats://" + subject, subject: subject}, nil
}

func parseHTTP(s string) (*target, error) {
	const want = "want http(s)://host[:port]/path"
	u, err := url.Parse(s)
	if err != nil {
		// The parser's error may repeat the URL with its credentials.
		return nil, fmt.Errorf("%w is not a valid URL: %s", ErrTarget, want)
	}
	if u.Hostname() == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%w has no host: %s", ErrTarget, want)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("%w has port %q: want 1–65535", ErrTarget, p)
		}
	}
	if u.User != nil {
		return nil, fmt.Errorf("%w has credentials, which every order's journal would repeat: add them in a proxy instead", ErrTarget)
	}
	if u.Fragment != "" {
		return nil, fmt.Errorf("%w has a fragment, which is never sent: %s", ErrTarget, want)
	}
	return &target{name: u.Scheme + "://" + u.Host + u.EscapedPath(), url: u}, nil
}

// targetCache caches parsed targets. Reads take no lock.
type targetCache struct {
	known atomic.Pointer[map[string]*target]
	mu    sync.Mutex // held while a target is added
}

func (t *targetCache) get(s string) (*target, error) {
	if known := t.known.Load(); known != nil {
		if found, ok := (*known)[s]; ok {
			return found, nil
		}
	}
	parsed, err := parseTarget(s)
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
