package plan

import (
	"net/url"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

var downstreamName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// IsDownstreamName reports whether s can be the name of a downstream: 1–64 characters of a–z 0–9 _ - beginning with a letter.
func IsDownstreamName(s string) bool { return downstreamName.MatchString(s) }

// Named splits a target that names a downstream of the node's file: payments/capture is payments and /capture. ok is false
// for URLs.
func Named(target string) (name, rest string, ok bool) {
	if i := strings.IndexByte(target, '/'); i >= 0 {
		target, rest = target[:i], target[i:]
	}
	return target, rest, IsDownstreamName(target)
}

// Downstream returns the name of the service behind a target, the unit that fails and is limited: for payments/capture the
// name before the slash, for NATS the subject without its last token (inventory.reserve and inventory.release are inventory)
// or a single token, for HTTP scheme, host and port. For any other target, which is answered in process, it is the target
// itself, and remote is false.
func Downstream(target string) (name string, remote bool) {
	if name, _, ok := Named(target); ok {
		return name, true
	}
	scheme, rest, _ := strings.Cut(target, ":")
	switch scheme {
	case "nats":
		subject := strings.TrimPrefix(rest, "//")
		if i := strings.LastIndexByte(subject, '.'); i > 0 {
			subject = subject[:i]
		}
		return subject, true
	case "http", "https":
		u, err := url.Parse(target)
		if err != nil {
			// The URL may hold secrets.
			return scheme, true
		}
		host := strings.ToLower(u.Host)
		if port := u.Port(); port == "80" && scheme == "http" || port == "443" && scheme == "https" {
			host = strings.TrimSuffix(host, ":"+port)
		}
		return scheme + "://" + host, true
	}
	return target, false
}

// LimitsOf returns the limits of each downstream in the plan, by the name that nameOf gives to a target. Limits of a step hold
// for the downstream that its do calls; a downstream that only an undo calls is not in the map.
func LimitsOf(p *messages.Plan, nameOf func(target string) string) map[string]*messages.Limits {
	limits := map[string]*messages.Limits{}
	for _, s := range p.GetSteps() {
		name := nameOf(s.GetDo())
		if limits[name] == nil && s.GetLimits() != nil {
			limits[name] = s.GetLimits()
		}
	}
	return limits
}

func nameOf(target string) string {
	name, _ := Downstream(target)
	return name
}

// shareLimits gives steps without limits those of another step that calls the same downstream.
func shareLimits(steps []*messages.Step) {
	known := LimitsOf(&messages.Plan{Steps: steps}, nameOf)
	for _, s := range steps {
		if s == nil || s.Limits != nil {
			continue
		}
		if limits := known[nameOf(s.Do)]; limits != nil {
			s.Limits = proto.CloneOf(limits)
		}
	}
}

// validateSharedLimits checks that steps which call the same downstream have the same limits.
func validateSharedLimits(ps *problems, steps []*messages.Step) {
	first := map[string]*messages.Step{}
	for i, s := range steps {
		if s.GetLimits() == nil || ps.about(place{i, "limits"}) || ps.about(place{i, "do"}) {
			continue
		}
		name, _ := Downstream(s.GetDo())
		other := first[name]
		if other == nil {
			first[name] = s
			continue
		}
		const advice = "they share the downstream %s: make them agree, or leave one out"
		if a, b := s.GetLimits().GetConcurrency(), other.GetLimits().GetConcurrency(); a != b {
			ps.add(place{i, "limits.concurrency"}, "limits.concurrency is %d, and that of step %s is %d: "+advice, a, other.GetName(), b, name)
		}
		if a, b := s.GetLimits().GetRate(), other.GetLimits().GetRate(); a != b {
			ps.add(place{i, "limits.rate"}, "limits.rate is %v, and that of step %s is %v: "+advice, a, other.GetName(), b, name)
		}
	}
}
