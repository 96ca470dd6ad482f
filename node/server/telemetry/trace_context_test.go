package telemetry_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceContext(t *testing.T) {
	ctx := telemetry.ContextWith(context.Background(), parent, "vendor=a,other=b")
	span := trace.SpanContextFromContext(ctx)
	if !span.IsRemote() || !span.IsSampled() || span.TraceState().Get("vendor") != "a" {
		t.Errorf("got %+v", span)
	}
	if p, s := telemetry.Traceparent(ctx); p != parent || s != "vendor=a,other=b" {
		t.Errorf("got %q, %q", p, s)
	}
	if p, s := telemetry.Traceparent(context.Background()); p != "" || s != "" {
		t.Errorf("got %q, %q", p, s)
	}
	if _, s := telemetry.Traceparent(telemetry.ContextWith(context.Background(), parent, "===")); s != "" {
		t.Errorf("tracestate %q", s)
	}
}

var traceparents = []string{
	parent, strings.Replace(parent, "-01", "-00", 1), strings.Replace(parent, "-01", "-ff", 1), "",
	"cc" + parent[2:], "cc" + parent[2:] + "-later", "cc" + parent[2:] + "later", "ff" + parent[2:], parent + "-x", parent[:54],
	strings.ToUpper(parent), strings.Replace(parent, "4bf9", "4bg9", 1), strings.Replace(parent, "-00f0", "_00f0", 1),
	"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	strings.Replace(parent, "-01", "-0x", 1), "0x" + parent[2:],
}

// OpenTelemetry's own reading is the reference, except that it refuses flags it does not know, where the standard
// says to ignore them: only known flags are compared.
func agree(t *testing.T, s string) {
	known := s
	if len(s) >= 55 {
		if flags, err := strconv.ParseUint(s[53:55], 16, 8); err == nil && s[53:55] == strings.ToLower(s[53:55]) {
			known = s[:53] + fmt.Sprintf("%02x", flags&1) + s[55:]
		}
	}
	reference := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": known}))
	ours := trace.SpanContextFromContext(telemetry.ContextWith(context.Background(), s, ""))
	if ours.IsValid() != reference.IsValid() || ours.TraceID() != reference.TraceID() || ours.SpanID() != reference.SpanID() || ours.IsSampled() != reference.IsSampled() {
		t.Errorf("%q: got %+v, want %+v", s, ours, reference)
	}
	if got, _ := telemetry.Traceparent(telemetry.ContextWith(context.Background(), s, "")); ours.IsValid() && got[:53] != "00"+s[2:53] {
		t.Errorf("%q came back as %q", s, got)
	}
}

func TestTraceparentAgrees(t *testing.T) {
	for _, s := range traceparents {
		agree(t, s)
	}
}

func FuzzTraceparent(f *testing.F) {
	for _, s := range traceparents {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { agree(t, s) })
}

func BenchmarkTraceparent(b *testing.B) {
	ctx := telemetry.ContextWith(context.Background(), parent, "")
	b.ReportAllocs()
	for b.Loop() {
		telemetry.Traceparent(ctx)
	}
}

func BenchmarkContextWith(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		telemetry.ContextWith(context.Background(), parent, "")
	}
}
