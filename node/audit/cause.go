package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/cause"
)

// MaxCauses is how many causes of attention a report lists.
const MaxCauses = 10

// maxCause is the longest text of a cause, in bytes.
const maxCause = 160

// Cause is why orders are in attention.
type Cause struct {
	// Step and Direction (do or undo) name the call that a person must decide about; empty without one.
	Step      string `json:"step,omitempty"`
	Direction string `json:"direction,omitempty"`
	Kind      string `json:"kind"`
	// Cause is the text of the cause. What differs between the orders is replaced by cause.Placeholder.
	Cause  string `json:"cause"`
	Orders uint64 `json:"orders"`
}

// causes counts orders by cause. The key has no count, and what the texts of its orders have in common; the value has the text
// itself if all have the same.
type causes map[Cause]*Cause

// add counts an order.
func (c causes) add(id messages.OrderID, need *messages.OrderNeedsAttention) {
	key := Cause{Step: need.GetStep(), Kind: need.GetKind().Label(), Cause: clip(cause.Group(need.GetCause(), string(id)))}
	if key.Step != "" {
		key.Direction = need.GetDirection().Label()
	}
	text := clip(need.GetCause())
	counted := c[key]
	if counted == nil {
		same := key
		same.Cause = text
		counted = &same
		c[key] = counted
	}
	counted.Orders++
	if counted.Cause != text {
		counted.Cause = key.Cause
	}
}

func clip(text string) string {
	if len(text) > maxCause {
		return strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return text
}

// top lists the n most frequent causes, the most frequent first.
func (c causes) top(n int) []Cause {
	all := make([]Cause, 0, len(c))
	for _, counted := range c {
		all = append(all, *counted)
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Direction, b.Direction),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Cause, b.Cause))
	})
	return all[:min(n, len(all))]
}
