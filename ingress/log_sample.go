package ingress

import (
	"context"
	"log/slog"
	"sync"
)

// logSample bounds the lines about events that may come by the thousand: some are logged one by one, the others are counted.
type logSample struct {
	logger *slog.Logger
	most   int

	mu             sync.Mutex
	logged, hidden int
}

// newLogSample logs up to most events one by one between two calls of count.
func newLogSample(logger *slog.Logger, most int) *logSample {
	return &logSample{logger: logger, most: most}
}

func (s *logSample) log(level slog.Level, message string, attrs ...any) {
	s.mu.Lock()
	shown := s.logged < s.most
	if shown {
		s.logged++
	} else {
		s.hidden++
	}
	s.mu.Unlock()
	if shown {
		s.logger.Log(context.Background(), level, message, attrs...)
	}
}

// count logs how many events were not logged since the last call, if any.
func (s *logSample) count(level slog.Level, message string) {
	s.mu.Lock()
	hidden := s.hidden
	s.logged, s.hidden = 0, 0
	s.mu.Unlock()
	if hidden > 0 {
		s.logger.Log(context.Background(), level, message, "count", hidden)
	}
}
