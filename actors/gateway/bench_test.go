package gateway_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

func BenchmarkSim(b *testing.B) {
	for name, c := range map[string]struct {
		target string
		cfg    gateway.Config
	}{
		"plain":    {"sim:", gateway.Config{}},
		"rates":    {"sim:?fail=0.01&reject=0.01&pending=0.01", gateway.Config{}},
		"measured": {"sim:", gateway.Config{Meter: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())).Meter("bench")}},
	} {
		b.Run(name, func(b *testing.B) {
			set := newSet(b, nil, c.cfg)
			call := call(c.target)
			done := func(*messages.StepReply, error) {}
			b.ReportAllocs()
			for b.Loop() {
				set.Do(call, done)
			}
		})
	}
}

// BenchmarkNATS keeps 64 calls in flight; service, server and client share the process.
func BenchmarkNATS(b *testing.B) {
	for name, encoding := range map[string]messages.Encoding{
		"json": messages.Encoding_ENCODING_JSON, "protobuf": messages.Encoding_ENCODING_PROTOBUF,
	} {
		b.Run(name, func(b *testing.B) {
			nc := connect(b)
			if _, err := nc.Subscribe("wrap", func(m *nats.Msg) { _ = m.Respond([]byte(`{"done":{"data":{"box":"b-1"}}}`)) }); err != nil {
				b.Fatal(err)
			}
			set := newSet(b, nc, gateway.Config{})
			c := call("nats://wrap")
			c.Step.Encoding = encoding
			free := make(chan struct{}, 64)
			for range cap(free) {
				free <- struct{}{}
			}
			b.ReportAllocs()
			for b.Loop() {
				<-free
				set.Do(c, func(_ *messages.StepReply, err error) {
					if err != nil {
						b.Error(err)
					}
					free <- struct{}{}
				})
			}
			for range cap(free) {
				<-free
			}
		})
	}
}
