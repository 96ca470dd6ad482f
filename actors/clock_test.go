package actors_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/messages"
)

// Nodes whose clocks are ahead of that of the streams, or behind it, decide alike about a cancel without an order: its age
// counts by the clock of the streams, and how long a node has held it by the node's own.
func TestClocksOfNodes(t *testing.T) {
	for _, ahead := range []time.Duration{0, 2 * time.Minute, 10 * time.Minute, -10 * time.Minute} {
		for _, c := range []struct {
			stored, held time.Duration
			want         string
		}{
			{time.Second, 0, "timer set"},
			{2 * time.Minute, 2 * time.Second, "settle 1 dropped"},
			{2 * time.Minute, 0, "settle 1 dead(no such order: none was created within 1m0s of this order.cancel)"},
		} {
			t.Run(fmt.Sprintf("%s ahead, stored %s ago, held for %s", ahead, c.stored, c.held), func(t *testing.T) {
				s := newFixture(t, func(cfg *actors.Config) {
					cfg.Now = func() time.Time { return time.Now().Add(-ahead) }
					cfg.Local = time.Now
				})
				d := newDelivery(messages.TypeCancel, 1, 1)
				d.Stored, d.Received = time.Now().Add(-ahead-c.stored), time.Now().Add(-c.held)
				s.deliver(d)
				s.await(t, c.want)
			})
		}
	}
}
