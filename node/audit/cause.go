package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/messages"
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
	Cause     string `json:"cause"`
	Orders    uint64 `json:"orders"`
}

// causes counts orders by cause; the key has no count.
type causes map[Cause]uint64

// add counts an order. Its id is cut out of the text, so that orders with the same cause count together.
func (c causes) add(id messages.OrderID, need *messages.OrderNeedsAttention) {
	text := strings.ReplaceAll(need.GetCause(), "order "+string(id), "order …")
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	key := Cause{Step: need.GetStep(), Kind: need.GetKind().Label(), Cause: text}
	if key.Step != "" {
		key.Direction = need.GetDirection().Label()
	}
	c[key]++
}

// top lists the n most frequent causes, the most frequent first.
func (c causes) top(n int) []Cause {
	all := make([]Cause, 0, len(c))
	for key, orders := range c {
		key.Orders = orders
		all = append(all, key)
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Direction, b.Direction),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Cause, b.Cause))
	})
	return all[:min(n, len(all))]
}
