package actors

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// instrumentation counts what order actors journal.
type instrumentation struct {
	accepted    metric.Int64Counter
	transitions metric.Int64Counter
	retries     metric.Int64Counter
	fences      metric.Int64Counter
	takeovers   metric.Int64Counter
	duration    metric.Float64Histogram

	byStatus map[order.Status]metric.MeasurementOption
}

func newInstrumentation(m metric.Meter) (*instrumentation, error) {
	i := &instrumentation{byStatus: map[order.Status]metric.MeasurementOption{}}
	var errs [6]error
	i.accepted, errs[0] = m.Int64Counter("orderly.orders.accepted", metric.WithUnit("{order}"),
		metric.WithDescription("Orders accepted by this node"))
	i.transitions, errs[1] = m.Int64Counter("orderly.orders.transitions", metric.WithUnit("{order}"),
		metric.WithDescription("Orders this node ended, parked or put in attention, by status"))
	i.retries, errs[2] = m.Int64Counter("orderly.step.retries", metric.WithUnit("{attempt}"),
		metric.WithDescription("Failed step attempts that are attempted again"))
	i.fences, errs[3] = m.Int64Counter("orderly.orders.fenced", metric.WithUnit("{delivery}"),
		metric.WithDescription("Drivers fenced by another delivery"))
	i.takeovers, errs[4] = m.Int64Counter("orderly.orders.takeovers", metric.WithUnit("{delivery}"),
		metric.WithDescription("Redeliveries that took an order over"))
	i.duration, errs[5] = m.Float64Histogram("orderly.orders.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from an order's acceptance to its end"))
	for _, s := range []order.Status{order.Parked, order.Attention, order.Completed, order.Rejected, order.Cancelled} {
		i.byStatus[s] = metric.WithAttributeSet(attribute.NewSet(attribute.String("status", s.String())))
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	i.startAtZero()
	return i, nil
}

// startAtZero makes every series of a counter exist before its first count: a rate needs the value before.
func (i *instrumentation) startAtZero() {
	ctx := context.Background()
	for _, by := range i.byStatus {
		i.transitions.Add(ctx, 0, by)
	}
	for _, c := range []metric.Int64Counter{i.accepted, i.retries, i.fences, i.takeovers} {
		c.Add(ctx, 0)
	}
}

// journaled counts an entry that is in the journal; s is the state with it.
func (i *instrumentation) journaled(s *order.State, entry *messages.JournalEntry) {
	ctx := context.Background()
	for _, e := range entry.Events {
		switch k := e.GetKind().(type) {
		case *messages.Event_Accepted:
			i.accepted.Add(ctx, 1)
		case *messages.Event_StepFailed:
			if k.StepFailed.GetRetryAt() != nil {
				i.retries.Add(ctx, 1)
			}
		case *messages.Event_Resumed:
			if k.Resumed.GetCause() == "takeover" {
				i.takeovers.Add(ctx, 1)
			}
		}
	}
	if by, ok := i.byStatus[s.Status]; ok && endsDriving(entry) {
		i.transitions.Add(ctx, 1, by)
		if s.Status.Terminal() {
			i.duration.Record(ctx, s.ChangedAt.Sub(s.StartedAt).Seconds(), by)
		}
	}
}

// endsDriving reports whether the entry parks or ends the order, or puts it in attention.
func endsDriving(entry *messages.JournalEntry) bool {
	switch entry.Events[len(entry.Events)-1].GetKind().(type) {
	case *messages.Event_Parked, *messages.Event_Attention, *messages.Event_Completed, *messages.Event_Rejected, *messages.Event_Cancelled:
		return true
	}
	return false
}

func (i *instrumentation) fenced() { i.fences.Add(context.Background(), 1) }

// logRest logs the one line about an order that is parked, ended or in attention.
func (o *Order) logRest(s *order.State) {
	ctx := o.logContext()
	if s.Status == order.Completed && !o.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	log := o.cfg.Logger.With("order_id", string(s.ID), "entries", s.Number)
	switch s.Status {
	case order.Rejected:
		log.InfoContext(ctx, "order rejected", "reason", s.End)
	case order.Cancelled:
		log.InfoContext(ctx, "order cancelled", "reason", s.End)
	case order.Parked:
		log.DebugContext(ctx, "order parked", "reason", s.ParkReason, "until", s.ParkedUntil)
	case order.Attention:
		log.WarnContext(ctx, "order needs attention", "step", s.AttentionCause.GetStep(), "cause", s.AttentionCause.GetCause())
	default:
		log.DebugContext(ctx, "order completed")
	}
}
