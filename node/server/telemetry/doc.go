// Package telemetry is how a node is seen from outside: traces through OTLP, metrics for Prometheus, log lines with
// trace ids, and W3C trace context as plain strings for messages.
//
// Ordering: Setup before anything is measured, Shutdown after everything has ended; only then are the last spans sent.
//
// Ownership: a Telemetry owns its exporter's goroutines and its own metric registry. Setup also makes the process's
// OpenTelemetry error handler write to the logger; nothing else is global.
//
// Failure: a wrong OTEL_ variable is an error of Setup. A collector that is away costs spans, never orders: batches
// are dropped and the loss is logged.
package telemetry
