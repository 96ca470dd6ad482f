package directory

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/orderly-engine/orderly/actors/plan"
)

// prefix is an address under which targets belong to an entry.
type prefix struct {
	entry *Entry
	// origin is scheme, host and port in lower case, or "nats"; path is the escaped path without a slash at its end, or the
	// subject.
	origin, path string
}

func newPrefix(e *Entry, a Address) prefix {
	if a.URL == nil {
		return prefix{e, "nats", a.Subject}
	}
	origin, _ := plan.Downstream(a.URL.String())
	return prefix{e, origin, strings.TrimRight(a.URL.EscapedPath(), "/")}
}

// cut returns what follows the prefix in a target: a path that begins with a slash, or with a query, or is empty.
func (p prefix) cut(target string) (rest string, ok bool) {
	if p.origin == "nats" {
		rest, ok = strings.CutPrefix(target, "nats://"+p.path)
		return strings.ReplaceAll(rest, ".", "/"), ok && (rest == "" || rest[0] == '.')
	}
	if origin, _ := plan.Downstream(target); origin != p.origin {
		return "", false
	}
	u, err := url.Parse(target)
	if err != nil || hasDotSegment(u.Path) {
		return "", false
	}
	rest, ok = strings.CutPrefix(u.EscapedPath(), p.path)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if u.RawQuery != "" {
		rest += "?" + u.RawQuery
	}
	return rest, true
}

// hasDotSegment reports whether a path has the segment . or .., with which it could leave its prefix.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// at returns the address of a path of the entry. rest begins with a slash or a query, or is empty.
func (e *Entry) at(rest string) resolved {
	r := resolved{entry: e}
	base := e.service.base
	if base.URL == nil {
		r.address = "nats://" + base.Subject + strings.ReplaceAll(rest, "/", ".")
	} else {
		r.address = strings.TrimRight(base.String(), "/") + rest
	}
	a, err := ParseAddress(r.address)
	switch {
	case err != nil:
		r.err = fmt.Errorf("%w (the path %.80q of the downstream %s)", err, pathOf(rest), e.Name)
	case a.URL != nil && hasDotSegment(a.URL.Path):
		r.err = errDotSegment
	}
	return r
}

// pathOf cuts off the query, which may hold a secret.
func pathOf(rest string) string {
	path, _, _ := strings.Cut(rest, "?")
	return path
}
