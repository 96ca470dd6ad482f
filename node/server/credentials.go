package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/node/server/config"
)

const (
	// refusalInterval is the least time between two log lines about a running node whose credentials are refused: it tries again
	// several times a second.
	refusalInterval = time.Minute
	// expiryWarning is how long before the end of credentials the warnings begin, at most a quarter of their life.
	expiryWarning = 7 * 24 * time.Hour
	// expiryCheck is the longest time between two reads of the credentials' end.
	expiryCheck = 24 * time.Hour
	// expiredCheck is that time after the end.
	expiredCheck = time.Hour
)

// refused reports whether err says that NATS refuses this node, and logs then what to do.
func (n *node) refused(err error) bool {
	refusal := config.Refusal(n.cfg, err)
	if refusal == nil {
		return false
	}
	n.refusal.Store(&refusal)
	n.refusals.Do(func() {
		n.log.Error("NATS refuses this node, trying again; replaced files of credentials count at the next attempt", "error", refusal)
	})
	return true
}

// refusedTLS takes the error of a connect that was ended before it sent credentials in the clear; nats.go drops it when it reconnects.
func (n *node) refusedTLS(err error) {
	if n.connected.Load() {
		n.refused(err)
	}
}

// watchCredentials warns, until the node stops, that credentials end soon or have ended.
func (n *node) watchCredentials() {
	if n.cfg.NATSCreds == "" && n.cfg.NATSTLSCert == "" {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { warnOfExpiry(ctx, n.cfg.Expiries, n.log) })
	n.onStop(func() { stop(); watching.Wait() })
}

// warnOfExpiry reads the expiries again each time: files may have been replaced.
func warnOfExpiry(ctx context.Context, expiries func() []config.Expiry, log *slog.Logger) {
	for {
		wait := expiryCheck
		for _, e := range expiries() {
			left := time.Until(e.End)
			warn := min(expiryWarning, e.End.Sub(e.Issued)/4)
			switch {
			case left <= 0:
				log.Error("credentials for NATS have expired, replace the file", "variable", e.Variable, "expired", e.End)
				wait = min(wait, expiredCheck)
			case left <= warn:
				log.Warn("credentials for NATS expire soon, replace the file", "variable", e.Variable, "expires", e.End, "left", left.Round(time.Second).String())
				wait = min(wait, max(left/2, time.Minute))
			default:
				wait = min(wait, left-warn)
			}
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}
