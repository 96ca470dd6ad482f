package ingress_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// countingLog counts lines by message, and adds up the attribute count of each message.
type countingLog struct {
	mu            sync.Mutex
	lines, counts map[string]int
}

func (l *countingLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *countingLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *countingLog) WithGroup(string) slog.Handler            { return l }
func (l *countingLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[r.Message]++
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "count" {
			l.counts[r.Message] += int(a.Value.Int64())
		}
		return true
	})
	return nil
}

// Many dead letters at once, more than are stored at a time, are stored once each and in their order; the log has a few lines
// and the number of the others.
func TestManyDeadLetters(t *testing.T) {
	for name, group := range map[string]bool{"one by one": false, "in batches": true} {
		t.Run(name, func(t *testing.T) {
			_, js := startServerNoRedelivery(t)
			const n = 700
			for i := range n {
				_, err := js.PublishAsync(fmt.Sprintf("ORDER.o-%d", i), []byte("junk"))
				if err != nil {
					t.Fatal(err)
				}
			}
			natstest.Receive(t, js.PublishAsyncComplete(), "the acks")
			log := &countingLog{lines: map[string]int{}, counts: map[string]int{}}
			in := startInbox(t, js, ingress.Config{Logger: slog.New(log), GroupAck: group, AckWait: 2 * natstest.Patience})
			all := waitDeadLetters(t, ingress.NewDeadLetters(js), n)
			waitEmpty(t, js, messages.StreamOrders)
			if err := in.drain(natstest.Context(t)); err != nil {
				t.Fatal(err)
			}
			for i, d := range all {
				if want := fmt.Sprintf("o-%d", i); string(d.OrderID) != want {
					t.Fatalf("dead letter %d is of order %s: want %s, as in the inbox", i, d.OrderID, want)
				}
			}
			log.mu.Lock()
			defer log.mu.Unlock()
			lines := log.lines["dead letter stored"]
			if hidden := log.counts["more dead letters stored than are logged"]; lines == 0 || lines > 100 || lines+hidden != n {
				t.Errorf("%d lines, %d counted: want few lines, and %d together", lines, hidden, n)
			}
		})
	}
}

// Dead letters that are large are stored a few at a time, and all of them.
func TestManyLargeDeadLetters(t *testing.T) {
	_, js := startServerNoRedelivery(t)
	const n = 80 // together more than the bytes that are stored at a time
	for i := range n {
		storeMsg(t, js, fmt.Sprintf("ORDER.o-%d", i), nil, strings.Repeat("x", messages.MaxBody+1))
	}
	startInbox(t, js, ingress.Config{AckWait: 2 * natstest.Patience})
	waitDeadLetters(t, ingress.NewDeadLetters(js), n)
	waitEmpty(t, js, messages.StreamOrders)
}

// What waits to become a dead letter while none can be stored keeps no order from being delivered.
func TestUnstoredDeadLettersBlockNoOrder(t *testing.T) {
	_, js := startServer(t)
	if err := js.DeleteStream(natstest.Context(t), messages.StreamDead); err != nil {
		t.Fatal(err)
	}
	in := startInbox(t, js, ingress.Config{MaxInFlight: 64})
	for i := range 100 {
		storeMsg(t, js, fmt.Sprintf("ORDER.junk-%d", i), nil, "junk")
	}
	storeOrder(t, js, "o")
	in.next().Settle(delivery.Done())
	ensureStreams(t, js, testAckWait)
	waitDeadLetters(t, ingress.NewDeadLetters(js), 100)
	waitEmpty(t, js, messages.StreamOrders)
}
