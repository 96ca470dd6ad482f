package ingress

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Classes of the reasons for dead letters.
const (
	classSubject     = "subject"
	classMismatch    = "id_mismatch"
	classUndecodable = "undecodable"
	classUnknownType = "unknown_type"
	classTooLarge    = "too_large"
	classPoison      = "poison"
	// classSettledDead: the engine settled the delivery as dead.
	classSettledDead = "refused"
)

type instruments struct {
	deliveries, settlements, ignored, deadLetters, ackProgress metric.Int64Counter

	// Options are computed once, because a set of attributes allocates.
	byType    map[messages.Type][]metric.AddOption
	byOutcome [delivery.OutcomeDropped + 1][]metric.AddOption
	byClass   map[string][]metric.AddOption

	// lagOrders and lagWakes are in messages, oldest is the age of the oldest message about an order in nanoseconds; -1 if
	// unknown.
	lagOrders, lagWakes, oldest atomic.Int64
	registration                metric.Registration
}

func newInstruments(meter metric.Meter, inFlight func() int) (*instruments, error) {
	n := &instruments{byType: make(map[messages.Type][]metric.AddOption), byClass: make(map[string][]metric.AddOption)}
	for _, a := range []*atomic.Int64{&n.lagOrders, &n.lagWakes, &n.oldest} {
		a.Store(-1)
	}
	var errs []error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	n.deliveries = counter("orderly.deliveries", "{delivery}", "Deliveries received, by type of message.")
	n.settlements = counter("orderly.settlements", "{delivery}", "Deliveries settled, by outcome.")
	n.ignored = counter("orderly.settlements.ignored", "{call}", "Attempts to settle a delivery that was already settled.")
	n.deadLetters = counter("orderly.dead_letters", "{message}", "Dead letters stored, by class of the reason.")
	n.ackProgress = counter("orderly.ack_progress", "{ack}", "In-progress acks sent for slow deliveries.")
	inFlightGauge, err := meter.Int64ObservableUpDownCounter("orderly.deliveries.in_flight", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries received and not settled."))
	errs = append(errs, err)
	lag, err := meter.Int64ObservableGauge("orderly.inbox.lag", metric.WithUnit("{message}"),
		metric.WithDescription("Messages not yet delivered to any node, by stream."))
	errs = append(errs, err)
	oldest, err := meter.Float64ObservableGauge("orderly.inbox.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest message about an order that is not settled."))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	n.precompute()
	n.startAtZero()
	orders := metric.WithAttributeSet(attribute.NewSet(attribute.String("stream", messages.StreamOrders)))
	wakes := metric.WithAttributeSet(attribute.NewSet(attribute.String("stream", messages.StreamTimers)))
	n.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(inFlightGauge, int64(inFlight()))
		if v := n.lagOrders.Load(); v >= 0 {
			o.ObserveInt64(lag, v, orders)
		}
		if v := n.lagWakes.Load(); v >= 0 {
			o.ObserveInt64(lag, v, wakes)
		}
		if v := n.oldest.Load(); v >= 0 {
			o.ObserveFloat64(oldest, float64(v)/1e9)
		}
		return nil
	}, inFlightGauge, lag, oldest)
	return n, err
}

func (n *instruments) precompute() {
	option := func(key, value string) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))}
	}
	const typeKey = "type"
	for _, t := range []messages.Type{messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip,
		messages.TypeWake} {
		n.byType[t] = option(typeKey, string(t))
	}
	n.byType[""] = option(typeKey, "unreadable")
	for kind, name := range map[delivery.OutcomeKind]string{delivery.OutcomeDone: "done", delivery.OutcomeLater: "later",
		delivery.OutcomeDead: "dead", delivery.OutcomeDropped: "dropped"} {
		n.byOutcome[kind] = option("outcome", name)
	}
	for _, class := range []string{classSubject, classMismatch, classUndecodable, classUnknownType, classTooLarge, classPoison, classSettledDead} {
		n.byClass[class] = option("reason", class)
	}
}

// startAtZero makes every series exist before its first count: a rate needs the value before.
func (n *instruments) startAtZero() {
	ctx := context.Background()
	for _, option := range n.byType {
		n.deliveries.Add(ctx, 0, option...)
	}
	for _, option := range n.byOutcome {
		if option != nil {
			n.settlements.Add(ctx, 0, option...)
		}
	}
	for _, option := range n.byClass {
		n.deadLetters.Add(ctx, 0, option...)
	}
	n.ignored.Add(ctx, 0)
	n.ackProgress.Add(ctx, 0)
}

func (n *instruments) delivered(t messages.Type) {
	n.deliveries.Add(context.Background(), 1, n.byType[t]...)
}

func (n *instruments) settled(k delivery.OutcomeKind) {
	if int(k) < len(n.byOutcome) {
		n.settlements.Add(context.Background(), 1, n.byOutcome[k]...)
	}
}

func (n *instruments) deadLettered(class string) {
	n.deadLetters.Add(context.Background(), 1, n.byClass[class]...)
}

// close ends the observations. It fails only for a registration of another meter.
func (n *instruments) close() { _ = n.registration.Unregister() }
