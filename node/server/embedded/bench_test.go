package embedded_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/server/embedded"
)

// BenchmarkPublish compares the ways into the server, for publishing asynchronously with acknowledgements.
func BenchmarkPublish(b *testing.B) {
	for _, way := range []struct {
		name string
		opts []nats.Option
	}{{"tcp", nil}, {"in_process", nil}} {
		b.Run(way.name, func(b *testing.B) {
			s, err := embedded.Start(embedded.Config{DataDir: b.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown()
			if way.name == "in_process" {
				way.opts = append(way.opts, nats.InProcessServer(s.InProcess()))
			}
			nc, err := s.Connect(way.opts...)
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
				b.Fatal(err)
			}
			body := make([]byte, 300)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := js.PublishAsync("s.a", body, jetstream.WithStallWait(10*time.Second)); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
		})
	}
}
