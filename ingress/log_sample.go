package ingress

import "sync"

// logSample bounds the lines about events that may come by the thousand: some are logged one by one, the others are counted.
type logSample struct {
	most int

	mu             sync.Mutex
	logged, hidden int
}

// newLogSample has up to most events logged one by one between two calls of takeHidden.
func newLogSample(most int) *logSample { return &logSample{most: most} }

// next reports whether the next event is logged, and counts it otherwise.
func (s *logSample) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logged == s.most {
		s.hidden++
		return false
	}
	s.logged++
	return true
}

// takeHidden returns how many events were not logged since the last call.
func (s *logSample) takeHidden() (hidden int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hidden = s.hidden
	s.logged, s.hidden = 0, 0
	return hidden
}
