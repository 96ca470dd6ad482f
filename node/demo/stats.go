package demo

import (
	"maps"
	"slices"
	"strings"
)

// Stats counts the calls and effects of the services. It is the JSON reply of demo.stats.
type Stats struct {
	// Keys counts the decided idempotency keys, Effects the performed effects; with a ledger file both survive the process. The
	// other counts are of this process.
	Keys    int `json:"keys"`
	Effects int `json:"effects"`
	// Calls counts the calls, Repeats those whose key had been decided before.
	Calls   int `json:"calls"`
	Repeats int `json:"repeats"`
	// Failed counts the calls answered as unavailable.
	Failed int `json:"failed"`
	// Missed counts the calls while their service was unavailable; they are not in Calls.
	Missed int `json:"missed"`
	// Twice lists every order, step and direction whose effect was performed more than once, with different keys. Empty unless
	// the caller changes keys.
	Twice []string `json:"twice"`
	// Subjects counts the calls by subject.
	Subjects map[string]int `json:"subjects"`
}

// Call is the result of one idempotency key.
type Call struct {
	Key       string `json:"key"`
	Step      string `json:"step"`
	Direction string `json:"direction"`
	// Verdict is performed, refused, idle (an undo with nothing to undo), sealed (a do whose undo was called first), or
	// empty if every call with the key failed before its effect.
	Verdict string `json:"verdict"`
	// Calls counts the calls with the key in this process.
	Calls int `json:"calls"`
	// Effects counts the effects on the order, step and direction of the key.
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

// Order returns the calls of one order, sorted by key.
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
