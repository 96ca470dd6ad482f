package demo

import (
	"maps"
	"slices"
	"strings"
)

// Stats is what the services were asked and what they did. It is what demo.stats answers, as JSON.
type Stats struct {
	// Keys is the number of idempotency keys decided, Effects that of effects performed; both outlive the process
	// when there is a ledger file. The other counts are of this process.
	Keys    int `json:"keys"`
	Effects int `json:"effects"`
	// Calls is the number of calls, Repeats that of calls whose key had been decided before.
	Calls   int `json:"calls"`
	Repeats int `json:"repeats"`
	// Failed is the number of calls answered as unavailable.
	Failed int `json:"failed"`
	// Missed is the number of calls that came while their service was away; they are not among Calls.
	Missed int `json:"missed"`
	// Twice names every order, step and direction whose effect was performed more than once, under whatever keys. Always
	// empty unless the caller changes keys.
	Twice []string `json:"twice"`
	// Subjects is the number of calls by subject.
	Subjects map[string]int `json:"subjects"`
}

// Call is what became of one idempotency key.
type Call struct {
	Key       string `json:"key"`
	Step      string `json:"step"`
	Direction string `json:"direction"`
	// Verdict is performed, refused, idle (an undo with nothing to undo), sealed (a do undone before it came), or empty
	// when every call under the key failed before its effect.
	Verdict string `json:"verdict"`
	// Calls is the number of calls under the key in this process.
	Calls int `json:"calls"`
	// Effects is the number of effects on the key's order, step and direction.
	Effects int `json:"effects"`
}

// maxTwice bounds the list in Stats.
const maxTwice = 100

// Stats returns the counts so far.
func (s *Services) Stats() Stats {
	s.mu.Lock()
	st := Stats{Calls: s.calls, Repeats: s.repeats, Failed: s.failed, Missed: s.missed, Subjects: maps.Clone(s.subjects), Twice: []string{}}
	s.mu.Unlock()
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Keys = len(l.entries)
	for target, n := range l.effects {
		st.Effects += n
		if n > 1 && len(st.Twice) < maxTwice {
			st.Twice = append(st.Twice, target)
		}
	}
	slices.Sort(st.Twice)
	return st
}

// Order returns what became of the calls of one order, sorted by key.
func (s *Services) Order(id string) []Call {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := []Call{}
	prefix := id + "/"
	for key, e := range l.entries {
		if e.Order == id {
			calls = append(calls, Call{key, e.Step, e.Direction, string(e.Verdict), l.calls[key], l.effects[e.target()]})
		}
	}
	for key, n := range l.calls {
		if rest, ok := strings.CutPrefix(key, prefix); ok && l.entries[key] == nil {
			step, direction, _ := strings.Cut(rest, "/")
			calls = append(calls, Call{Key: key, Step: step, Direction: direction, Calls: n})
		}
	}
	slices.SortFunc(calls, func(a, b Call) int { return strings.Compare(a.Key, b.Key) })
	return calls
}
