// Package telemetry sets up traces over OTLP, metrics for Prometheus, log lines with trace ids, and W3C trace context as strings
// for messages.
//
// Ordering: call Setup before anything is measured and Shutdown after everything has ended; Shutdown sends the last spans.
//
// Ownership: a Telemetry owns its exporter's goroutines and its own metric registry. Setup also makes the OpenTelemetry error
// handler of the process write to the logger; nothing else is global.
//
// Failure: an invalid OTEL_ variable is an error of Setup. While the collector is unreachable spans are dropped and the loss is
// logged; orders are not affected.
package telemetry
