package gateway

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// result is the attribute outcome of metrics, orderly.outcome of spans.
type result int

const (
	resultDone result = iota
	resultRejected
	resultPending
	resultRetry
	resultFailed
	resultSetup
	resultUnreadable
	resultCount
)

func (r result) String() string {
	return [...]string{"done", "rejected", "pending", "retry", "failed", "setup", "unreadable"}[r]
}

func resultOf(reply *messages.StepReply, err error) result {
	if err != nil {
		switch delivery.AsFailure(err).Kind {
		case messages.Rejected:
			return resultRejected
		case messages.Setup:
			return resultSetup
		case messages.Unreadable:
			return resultUnreadable
		}
		return resultFailed
	}
	switch reply.GetResult().(type) {
	case *messages.StepReply_Rejected:
		return resultRejected
	case *messages.StepReply_Pending:
		return resultPending
	case *messages.StepReply_Retry:
		return resultRetry
	}
	return resultDone
}

// maxStepNames bounds the number of attribute sets while plans come and go; further steps share the name "other".
const maxStepNames = 1024

// stepOptions are the attributes of one step, by direction (do, undo) and result.
type stepOptions [2][resultCount][]metric.RecordOption

// instrumentation holds the instruments of a Set. Reads take no lock.
type instrumentation struct {
	duration metric.Float64Histogram

	steps atomic.Pointer[map[string]*stepOptions]
	mu    sync.Mutex // held while a step is added
}

func newInstrumentation(meter metric.Meter) *instrumentation {
	duration, err := meter.Float64Histogram("orderly.step.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Duration of one attempt of a step call"),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30),
	)
	if err != nil {
		// Only an invalid name or unit gets here: measure nothing rather than fail calls.
		duration = metricnoop.Float64Histogram{}
	}
	return &instrumentation{duration: duration}
}

func (i *instrumentation) enabled() bool { return i.duration.Enabled(context.Background()) }

func (i *instrumentation) record(c *Call, r result, took time.Duration) {
	direction := 0
	if c.Direction == messages.Undo {
		direction = 1
	}
	i.duration.Record(context.Background(), took.Seconds(), i.step(c.Step.GetName())[direction][r]...)
}

func (i *instrumentation) step(name string) *stepOptions {
	if known := i.steps.Load(); known != nil {
		if m, ok := (*known)[name]; ok {
			return m
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	next := map[string]*stepOptions{}
	if known := i.steps.Load(); known != nil {
		next = maps.Clone(*known)
	}
	if len(next) >= maxStepNames {
		name = "other"
	}
	if m, ok := next[name]; ok {
		return m
	}
	m := &stepOptions{}
	for d, direction := range []messages.Direction{messages.Do, messages.Undo} {
		for r := range resultCount {
			set := attribute.NewSet(
				attribute.String("step", name),
				attribute.String("direction", direction.Label()),
				attribute.String("outcome", r.String()),
			)
			m[d][r] = []metric.RecordOption{metric.WithAttributeSet(set)}
		}
	}
	next[name] = m
	i.steps.Store(&next)
	return m
}
