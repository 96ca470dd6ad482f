package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// DefaultHTTPConcurrency is how many HTTP calls to one host run at once unless a Config says otherwise.
const DefaultHTTPConcurrency = 256

const (
	defaultFunctionConcurrency = 256
	defaultMaxReply            = 1 << 20
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("gateway configuration")

// Config holds what a Set does not need but may use. The zero value works.
type Config struct {
	// HTTPConcurrency is how many HTTP calls to one host run at once; more wait, within their time-out. Default 256.
	HTTPConcurrency int
	// MaxReply is the largest answer that is read, in bytes. Default 1 MiB.
	MaxReply int
	// Functions perform the calls of func: targets. Each runs in a goroutine of its own.
	Functions Functions
	// FunctionConcurrency is how many calls of one function run at once; more wait, within their time-out. Default 256.
	FunctionConcurrency int
	// Transport carries HTTP calls; default one of the Set's own. Redirects are never followed.
	Transport http.RoundTripper
	// Tracer makes a client span per call. Absent or a noop: calls pass on the trace context they were given.
	Tracer trace.Tracer
	// Meter makes the instruments. Absent: nothing is measured.
	Meter metric.Meter
	// Logger takes the stacks of functions that panicked. Absent: nothing is logged.
	Logger *slog.Logger
}

// Validate says which value is out of range; the error wraps ErrConfig. Zero values stand for defaults.
func (c Config) Validate() error {
	if c.HTTPConcurrency < 0 {
		return fmt.Errorf("%w: HTTPConcurrency is %d, want at least 1", ErrConfig, c.HTTPConcurrency)
	}
	if c.FunctionConcurrency < 0 {
		return fmt.Errorf("%w: FunctionConcurrency is %d, want at least 1", ErrConfig, c.FunctionConcurrency)
	}
	if c.MaxReply < 0 {
		return fmt.Errorf("%w: MaxReply is %d, want at least 1", ErrConfig, c.MaxReply)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.HTTPConcurrency <= 0 {
		c.HTTPConcurrency = DefaultHTTPConcurrency
	}
	if c.FunctionConcurrency <= 0 {
		c.FunctionConcurrency = defaultFunctionConcurrency
	}
	c.Functions = maps.Clone(c.Functions)
	if c.MaxReply <= 0 {
		c.MaxReply = defaultMaxReply
	}
	if _, ok := c.Tracer.(tracenoop.Tracer); ok {
		c.Tracer = nil
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
