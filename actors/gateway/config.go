package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

const (
	defaultHTTPConcurrency = 256
	defaultMaxReply        = 1 << 20
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("gateway configuration")

// Config holds what a Set does not need but may use. The zero value works.
type Config struct {
	// HTTPConcurrency is how many HTTP calls to one host run at once; more wait, within their time-out. Default 256.
	HTTPConcurrency int
	// MaxReply is the largest answer that is read, in bytes. Default 1 MiB.
	MaxReply int
	// Transport carries HTTP calls; default one of the Set's own. Redirects are never followed.
	Transport http.RoundTripper
	// Tracer makes a client span per call. Absent or a noop: calls pass on the trace context they were given.
	Tracer trace.Tracer
	// Meter makes the instruments. Absent: nothing is measured.
	Meter metric.Meter
}

// Validate says which value is out of range; the error wraps ErrConfig. Zero values stand for defaults.
func (c Config) Validate() error {
	if c.HTTPConcurrency < 0 {
		return fmt.Errorf("%w: HTTPConcurrency is %d, want at least 1", ErrConfig, c.HTTPConcurrency)
	}
	if c.MaxReply < 0 {
		return fmt.Errorf("%w: MaxReply is %d, want at least 1", ErrConfig, c.MaxReply)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.HTTPConcurrency <= 0 {
		c.HTTPConcurrency = defaultHTTPConcurrency
	}
	if c.MaxReply <= 0 {
		c.MaxReply = defaultMaxReply
	}
	if _, ok := c.Tracer.(tracenoop.Tracer); ok {
		c.Tracer = nil
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	return c
}
