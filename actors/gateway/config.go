package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/orderly-engine/orderly/actors/directory"
)

// DefaultHTTPConcurrency is the default of Config.HTTPConcurrency.
const DefaultHTTPConcurrency = 256

const (
	defaultFunctionConcurrency = 256
	defaultMaxReply            = 1 << 20
)

// ErrConfig is wrapped by the errors of Config.Validate.
var ErrConfig = errors.New("gateway configuration")

// Config holds the optional dependencies and settings of a Set. The zero value works.
type Config struct {
	// HTTPConcurrency is how many HTTP calls to one downstream run at a time, unless its entry has a larger limit; others wait,
	// within their timeout. Default 256.
	HTTPConcurrency int
	// MaxReply is the largest reply that is read as a whole, in bytes. Default 1 MiB.
	MaxReply int
	// Directory has the downstreams that targets name. Default: none, and every URL is called as it is.
	Directory *directory.Directory
	// Functions perform the calls of func: targets, each call in a goroutine of its own.
	Functions Functions
	// FunctionConcurrency is how many calls of one function run at a time; others wait, within their timeout. Default 256.
	FunctionConcurrency int
	// Transport makes HTTP calls. Default: one of the Set's own. Redirects are never followed.
	Transport http.RoundTripper
	// Tracer starts a client span per call. Default, or a noop: calls pass on the trace context they were given.
	Tracer trace.Tracer
	// Meter creates the instruments. Default: none.
	Meter metric.Meter
	// ServerTime converts a time of this node to the clock by which parks end. Default: they are the same.
	ServerTime func(time.Time) time.Time
	// Probe looks into the calls. Default: none.
	Probe *Probe
	// Logger gets the stacks of functions that panicked. Default: none.
	Logger *slog.Logger
}

// Validate returns an error that wraps ErrConfig and names the value that is out of range. Zero values mean defaults.
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
	if c.ServerTime == nil {
		c.ServerTime = func(t time.Time) time.Time { return t }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
