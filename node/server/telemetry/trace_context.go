package telemetry

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
)

// A traceparent is version-traceid-spanid-flags in lower-case hexadecimal (W3C Trace Context, level 2).
const (
	traceparentLen = 55
	traceIDAt      = 3
	spanIDAt       = 36
	flagsAt        = 53
)

// Traceparent returns the trace context of ctx for headers and journal entries; both are empty if there is none.
func Traceparent(ctx context.Context) (traceparent, tracestate string) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return "", ""
	}
	traceID, spanID, flags := span.TraceID(), span.SpanID(), [1]byte{byte(span.TraceFlags())}
	var b [traceparentLen]byte
	b[0], b[1], b[2] = '0', '0', '-'
	hex.Encode(b[traceIDAt:], traceID[:])
	b[spanIDAt-1] = '-'
	hex.Encode(b[spanIDAt:], spanID[:])
	b[flagsAt-1] = '-'
	hex.Encode(b[flagsAt:], flags[:])
	return string(b[:]), span.TraceState().String()
}

// ContextWith returns ctx with a received trace context. An empty or malformed traceparent is ignored, and so is a malformed
// tracestate.
func ContextWith(ctx context.Context, traceparent, tracestate string) context.Context {
	span, ok := parse(traceparent)
	if !ok {
		return ctx
	}
	if tracestate != "" {
		if state, err := trace.ParseTraceState(tracestate); err == nil {
			span.TraceState = state
		}
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(span))
}

// parse decodes a traceparent. Later versions may be longer but start with the same fields.
func parse(s string) (span trace.SpanContextConfig, ok bool) {
	if len(s) < traceparentLen || s[2] != '-' || s[spanIDAt-1] != '-' || s[flagsAt-1] != '-' {
		return span, false
	}
	var version, flags [1]byte
	if !decodeHex(version[:], s) || version[0] == 0xff ||
		!decodeHex(span.TraceID[:], s[traceIDAt:]) || !decodeHex(span.SpanID[:], s[spanIDAt:]) || !decodeHex(flags[:], s[flagsAt:]) {
		return span, false
	}
	if len(s) > traceparentLen && (version[0] == 0 || s[traceparentLen] != '-') {
		return span, false
	}
	span.TraceFlags = trace.TraceFlags(flags[0]) & (trace.FlagsSampled | trace.FlagsRandom)
	return span, span.TraceID.IsValid() && span.SpanID.IsValid()
}

// decodeHex fills b from the lower-case digits at the start of s.
func decodeHex(b []byte, s string) bool {
	for i := range b {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high|low > 0xf {
			return false
		}
		b[i] = high<<4 | low
	}
	return true
}

// digit is the value of a lower-case hexadecimal digit, more than 0xf for anything else.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
