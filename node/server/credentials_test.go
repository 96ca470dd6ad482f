package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/node/server/config"
)

// logBuffer is a buffer that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestWarnOfExpiry: warnings begin a week before the end, or after three quarters of a short life, and become more frequent; after
// the end there is one each hour, until the file is replaced.
func TestWarnOfExpiry(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct{ life, quiet, warned time.Duration }{
		"a year": {365 * day, 358*day - time.Second, 358*day + time.Second}, "an hour": {time.Hour, 44 * time.Minute, 46 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out logBuffer
			start := time.Now()
			var replaced atomic.Bool
			expiries := func() []config.Expiry {
				if replaced.Load() {
					return nil
				}
				return []config.Expiry{{Variable: "NATS_CREDS", Issued: start, End: start.Add(c.life)}}
			}
			ctx, stop := context.WithCancel(t.Context())
			go warnOfExpiry(ctx, expiries, slog.New(slog.NewTextHandler(&out, nil)))
			logged := func(at time.Duration) (soon, expired int) {
				time.Sleep(time.Until(start.Add(at)))
				synctest.Wait()
				return strings.Count(out.String(), "level=WARN msg=\"credentials for NATS expire soon"), strings.Count(out.String(), "level=ERROR msg=\"credentials for NATS have expired")
			}
			if soon, expired := logged(c.quiet); soon+expired != 0 {
				t.Errorf("%s: logged %s before", name, out.String())
			}
			if soon, expired := logged(c.warned); soon != 1 || expired != 0 {
				t.Errorf("%s: %d warnings, %d errors at first", name, soon, expired)
			}
			if soon, expired := logged(c.life - time.Second); soon < 4 || soon > 30 || expired != 0 {
				t.Errorf("%s: %d warnings, %d errors in the end", name, soon, expired)
			}
			if _, expired := logged(c.life + 10*time.Hour + 2*time.Minute); expired < 10 || expired > 11 {
				t.Errorf("%s: %d errors in the ten hours after the end", name, expired)
			}
			replaced.Store(true) // by credentials without end
			_, before := logged(c.life + 12*time.Hour)
			if _, after := logged(c.life + 20*day); after > before {
				t.Errorf("%s: %d errors after the credentials were replaced", name, after-before)
			}
			stop()
		})
	}
}
