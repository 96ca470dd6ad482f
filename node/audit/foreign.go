package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// MaxForeign is how many foreign messages a report keeps; it counts all.
const MaxForeign = 100_000

// maxForeignListed is how many sequences a warning names for each stream.
const maxForeignListed = 5

// ForeignMessage is a message in a stream of the engine that no node stored. Every reader passes over it.
type ForeignMessage struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	Subject  string `json:"subject"`
	// Cancelled is the parked order whose timer the message cancelled, if any.
	Cancelled messages.OrderID `json:"cancelled_timer_of,omitempty"`
}

// foreign notes a foreign message.
func (r *Report) foreign(stream string, sequence uint64, subject string) {
	r.ForeignCount++
	if len(r.Foreign) < MaxForeign {
		r.Foreign = append(r.Foreign, ForeignMessage{Stream: stream, Sequence: sequence, Subject: strings.Clone(subject)})
	}
}

// warnForeign warns of the foreign messages, stream by stream. Those among the dead letters have warnings of their own.
func (r *Report) warnForeign() {
	for _, stream := range []string{messages.StreamEvents, messages.StreamTimers, messages.StreamPlans, messages.StreamLedger} {
		var count int
		var first []string
		for _, m := range r.Foreign {
			if m.Stream != stream {
				continue
			}
			if count++; count <= maxForeignListed {
				first = append(first, fmt.Sprint(m.Sequence))
			}
		}
		if count == 0 {
			continue
		}
		if count > maxForeignListed {
			first = append(first, "…")
		}
		r.warn(fmt.Sprintf("%s stores %d messages that no node stored (sequences %s): nodes pass over them; \"orderly repair\" lists and removes them",
			stream, count, strings.Join(first, ", ")))
	}
}

// readPlans finds the foreign messages among the registered plans.
func (r *reader) readPlans(ctx context.Context) error {
	_, err := r.each(ctx, r.plans, false, func(seq uint64, m jetstream.Msg) {
		if ingress.DecodePlan(m.Subject(), m.Headers(), m.Data()) == nil {
			r.report.foreign(messages.StreamPlans, seq, m.Subject())
		}
	})
	return err
}

// foreignTimers finds the foreign messages among the given number of messages on a timer's subject.
func (r *reader) foreignTimers(ctx context.Context, subject string, count uint64) error {
	for from := uint64(1); count > 0; count-- {
		m, err := r.timers.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if found, err := isStored(m, err); !found || err != nil {
			return err
		}
		if !isTimer(m.Header) {
			r.report.foreign(messages.StreamTimers, m.Sequence, subject)
		}
		from = m.Sequence + 1
	}
	return nil
}

// cancelledTimers names the parked orders whose timers foreign messages cancelled: the server fires only the last message of a
// subject.
func (r *reader) cancelledTimers() {
	for i := range r.report.Foreign {
		m := &r.report.Foreign[i]
		id, err := messages.IDFromSubject(messages.SubjectTimer, m.Subject)
		if h := r.journal.live[id]; err == nil && h != nil && h.Status() == replay.Parked {
			m.Cancelled = id
		}
	}
}
