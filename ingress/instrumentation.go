package ingress

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Classes of reasons for dead letters.
const (
	classSubject     = "subject"
	classMismatch    = "id_mismatch"
	classUndecodable = "undecodable"
	classUnknownType = "unknown_type"
	classTooLarge    = "too_large"
	classPoison      = "poison"
	// classRefused: the engine settled the delivery as dead.
	classRefused = "refused"
)

type instruments struct {
	deliveries, settlements, ignored, deadLetters, ackProgress metric.Int64Counter

	byType    map[messages.Type][]metric.AddOption
	byVerdict [delivery.OutcomeDropped + 1][]metric.AddOption
	byClass   map[string][]metric.AddOption

	// lag of orders and wake-ups in messages, and the age of the oldest message about an order in nanoseconds; -1
	// while unknown.
	lagOrders, lagWakes, oldest atomic.Int64
	registration                metric.Registration
}

func newInstruments(meter metric.Meter, inFlight func() int) (*instruments, error) {
	n := &instruments{byType: make(map[messages.Type][]metric.AddOption), byClass: make(map[string][]metric.AddOption)}
	for _, a := range []*atomic.Int64{&n.lagOrders, &n.lagWakes, &n.oldest} {
		a.Store(-1)
	}
	var errs [9]error
	n.deliveries, errs[0] = meter.Int64Counter("orderly.deliveries", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries taken in, by the type of the message."))
	n.settlements, errs[1] = meter.Int64Counter("orderly.settlements", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries settled, by verdict."))
	n.ignored, errs[2] = meter.Int64Counter("orderly.settlements.ignored", metric.WithUnit("{call}"),
		metric.WithDescription("Attempts to settle a delivery that was settled already."))
	n.deadLetters, errs[3] = meter.Int64Counter("orderly.dead_letters", metric.WithUnit("{message}"),
		metric.WithDescription("Dead letters stored, by the class of the reason."))
	n.ackProgress, errs[4] = meter.Int64Counter("orderly.ack_progress", metric.WithUnit("{ack}"),
		metric.WithDescription("In-progress acknowledgements sent for deliveries that take long."))
	var flying metric.Int64ObservableUpDownCounter
	flying, errs[5] = meter.Int64ObservableUpDownCounter("orderly.deliveries.in_flight", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries taken in and not settled."))
	var lag metric.Int64ObservableGauge
	lag, errs[6] = meter.Int64ObservableGauge("orderly.inbox.lag", metric.WithUnit("{message}"),
		metric.WithDescription("Messages not delivered to any node yet, by stream."))
	var oldest metric.Float64ObservableGauge
	oldest, errs[7] = meter.Float64ObservableGauge("orderly.inbox.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest message about an order that is not settled."))
	for _, err := range errs[:8] {
		if err != nil {
			return nil, err
		}
	}
	n.precompute()
	orders := metric.WithAttributeSet(attribute.NewSet(attribute.String("orderly.stream", messages.StreamOrders)))
	wakes := metric.WithAttributeSet(attribute.NewSet(attribute.String("orderly.stream", messages.StreamTimers)))
	n.registration, errs[8] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(flying, int64(inFlight()))
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
	}, flying, lag, oldest)
	return n, errs[8]
}

func (n *instruments) precompute() {
	option := func(key, value string) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))}
	}
	const typeKey = "orderly.message.type"
	for _, t := range []messages.Type{messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip,
		messages.TypeWake} {
		n.byType[t] = option(typeKey, string(t))
	}
	n.byType[""] = option(typeKey, "unreadable")
	for verdict, word := range map[delivery.OutcomeKind]string{delivery.OutcomeDone: "done", delivery.OutcomeLater: "later",
		delivery.OutcomeDead: "dead", delivery.OutcomeDropped: "dropped"} {
		n.byVerdict[verdict] = option("orderly.verdict", word)
	}
	for _, class := range []string{classSubject, classMismatch, classUndecodable, classUnknownType, classTooLarge, classPoison, classRefused} {
		n.byClass[class] = option("orderly.reason", class)
	}
}

func (n *instruments) delivered(ctx context.Context, t messages.Type) {
	n.deliveries.Add(ctx, 1, n.byType[t]...)
}

func (n *instruments) settled(ctx context.Context, v delivery.OutcomeKind) {
	if int(v) < len(n.byVerdict) {
		n.settlements.Add(ctx, 1, n.byVerdict[v]...)
	}
}

func (n *instruments) buried(ctx context.Context, class string) {
	n.deadLetters.Add(ctx, 1, n.byClass[class]...)
}

// close ends the observations; it fails only for registrations of another meter.
func (n *instruments) close() { _ = n.registration.Unregister() }
