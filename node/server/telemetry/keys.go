package telemetry

// The keys of log lines. Every key has one meaning.
const (
	// KeyError is the error.
	KeyError = "error"
	// KeyOrderID is the order the line is about.
	KeyOrderID = "order_id"
	// KeyTraceID and KeySpanID come from the context of the call.
	KeyTraceID = "trace_id"
	KeySpanID  = "span_id"
	// KeyMethod, KeyRoute and KeyStatus describe an HTTP request; the route is the pattern, not the path.
	KeyMethod = "method"
	KeyRoute  = "route"
	KeyStatus = "status"
	// KeyStack is the stack of a panic.
	KeyStack = "stack"
)
