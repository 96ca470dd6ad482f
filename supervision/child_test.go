package supervision

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestPendingKeepsOrderAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newChild("o-1")
		var model []*delivery.Delivery
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if len(model) == 0 || rapid.Bool().Draw(t, "arrives") {
				d := &delivery.Delivery{}
				c.pending, model = append(c.pending, d), append(model, d)
				continue
			}
			i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
			if !c.remove(model[i]) {
				t.Fatalf("delivery %d is not pending", i)
			}
			if c.remove(model[i]) {
				t.Fatalf("delivery %d is pending twice", i)
			}
			model = slices.Delete(model, i, i+1)
			if !slices.Equal(c.pending, model) {
				t.Fatalf("pending %p, want %p", c.pending, model)
			}
		}
	})
}
