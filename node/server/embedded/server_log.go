package embedded

import (
	"fmt"
	"log/slog"
	"sync"
)

// serverLog passes the server's warnings and errors on and drops the rest. The first fatal error is kept: with a
// logger of one's own the server does not exit but goes on half started.
type serverLog struct {
	logger *slog.Logger

	mu    sync.Mutex
	fatal error
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}

func (l *serverLog) Warnf(format string, v ...any) {
	l.logger.Warn("embedded server warning", "detail", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.logger.Error("embedded server error", "detail", fmt.Sprintf(format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = fmt.Errorf(format, v...)
	}
}

// failure is the first fatal error, if any.
func (l *serverLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
