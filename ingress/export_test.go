package ingress

import "github.com/nats-io/nats.go/jetstream"

// WantedStreams are the streams that EnsureStreams creates.
func WantedStreams(s Streams) []jetstream.StreamConfig { return s.withDefaults().streams() }

// Freedom is how docs/operations.md calls what is accepted of a field of a stream, or with an empty name of a consumer.
func Freedom(stream, field string) string {
	return [...]string{onlyWanted: "checked", orMore: "or more", anyValue: "free"}[freedom(stream, field)]
}
