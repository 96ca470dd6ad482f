//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	fatal  Point
	left   atomic.Int64
	linger time.Duration
)

func init() {
	at := os.Getenv("CRASH_AT")
	if at == "" {
		return
	}
	parts := append(strings.SplitN(at, ":", 3), "", "")
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	fatal = Point(parts[0])
	left.Store(n)
	linger, _ = time.ParseDuration(parts[2])
}

// Pass kills the process if CRASH_AT names this pass of the point.
func Pass(p Point) {
	if p == fatal && left.Add(-1) == 0 {
		time.Sleep(linger)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
