package ingress

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// WantedStreams are the streams that EnsureStreams creates.
func WantedStreams(s Streams) []jetstream.StreamConfig { return s.withDefaults().streams() }

// Freedom is how docs/operations.md calls what is accepted of a field of a stream, or with an empty name of a consumer.
func Freedom(stream, field string) string {
	return [...]string{onlyWanted: "checked", orMore: "or more", anyValue: "free"}[freedom(stream, field)]
}

// ClockBehind is a clock of a server that is that far behind the node's.
func ClockBehind(behind time.Duration) *Clock {
	c := &Clock{log: slog.New(slog.DiscardHandler)}
	now := time.Now()
	c.observe(now.Add(-behind), now, now)
	return c
}
