package reading_test

import (
	"testing"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

var shop = &messages.Reading{
	DoneWhen: `body.status == "ok"`, RejectedWhen: `body.code == "declined"`, Data: "body.payment", Code: "body.code", Reason: "body.message",
}

func BenchmarkRead(b *testing.B) {
	p := compile(b, shop)
	for name, body := range map[string]string{
		"done":     `{"status":"ok","payment":{"id":"p-1","amount":1.10}}`,
		"rejected": `{"status":"failed","code":"declined","message":"no cover"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a, err := p.Read(200, []byte(body)); a == nil || err != nil {
					b.Fatal(a, err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			compile(b, shop)
		}
	})
	b.Run("cached", func(b *testing.B) {
		var c reading.Cache
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Compile(shop); err != nil {
				b.Fatal(err)
			}
		}
	})
}
