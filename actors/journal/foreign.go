package journal

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
)

// foreignLogInterval is the time between two logs of foreign messages: there may be thousands, and each read finds them again.
const foreignLogInterval = time.Minute

// foreignMessages counts the messages that reads pass over, and logs one of them now and then.
type foreignMessages struct {
	counter metric.Int64Counter
	log     *slog.Logger
	// logged is the time of the last log in Unix nanoseconds.
	logged atomic.Int64
}

func (f *foreignMessages) passedOver(id messages.OrderID, sequence uint64, why error) {
	f.counter.Add(context.Background(), 1)
	now, logged := time.Now().UnixNano(), f.logged.Load()
	if now-logged < int64(foreignLogInterval) || !f.logged.CompareAndSwap(logged, now) {
		return
	}
	f.log.Warn("journal has messages that no node stored, passing them over; remove them with \"orderly repair\"",
		"stream", messages.StreamEvents, "sequence", sequence, "subject", messages.SubjectEvent+string(id), "error", why)
}
