package plan

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// longTimeout is the longest timeout without a warning.
const longTimeout = 30 * time.Second

// warnings lists what is allowed in a plan and often goes wrong. hold is the node's ORDERLY_HOLD; 0: unknown.
func warnings(ps *problems, p *messages.Plan, hold time.Duration) []Problem {
	long := longTimeout
	if hold > 0 {
		long = min(long, hold)
	}
	for i, s := range p.GetSteps() {
		at := func(field string) place { return place{i, field} }
		if s.GetUndo() == "" && i < len(p.GetSteps())-1 {
			ps.add(at("undo"), "there is no undo, and later steps may be refused: what the step did is kept then; give it an undo, or move it to the end")
		}
		if s.GetRetry().GetAttempts() == 1 {
			ps.add(at("retry.attempts"), "retry.attempts is 1: a single lost answer stops the order until a person decides; want 2 or more")
		}
		if d := s.GetTimeout().AsDuration(); d > long {
			ps.add(at("timeout"), "timeout is %s, more than %s: a service that hangs holds its orders in memory that long; let slow work answer pending", d, long)
		}
		for _, call := range []struct{ field, target string }{{"do", s.GetDo()}, {"undo", s.GetUndo()}} {
			if exposed(call.target) {
				ps.add(at(call.field), "%s is http:// to another host: orders, answers and credentials cross the network unencrypted; use https://", call.field)
			}
		}
	}
	ps.sort()
	return ps.listed
}

// exposed reports whether a target is called over HTTP without TLS on another host.
func exposed(target string) bool {
	if !strings.HasPrefix(target, "http:") {
		return false
	}
	u, err := url.Parse(target)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && !strings.HasSuffix(u.Hostname(), ".localhost") && (ip == nil || !ip.IsLoopback())
}
