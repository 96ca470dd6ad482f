package crash_test

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
)

// proveIndex wants the list of orders to be what the journal tells: each order once, in its status as of its last entry.
// The list may be behind for a moment.
func (w *world) proveIndex(x *wrongs, j *journal) {
	w.Helper()
	wrong := ""
	for deadline := time.Now().Add(stall); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if wrong = w.compareIndex(j); wrong == "" {
			return
		}
	}
	x.add("the index is not what the journal tells: %s", wrong)
}

// compareIndex tells a difference between the list and the journal, or "".
func (w *world) compareIndex(j *journal) string {
	listed := map[messages.OrderID]index.Order{}
	for q := (index.Query{Limit: index.MaxLimit}); ; {
		page, err := index.Ask(w.Context(), w.nc, q)
		switch {
		case err != nil:
			return err.Error()
		case page.Rebuilding:
			return "it is being built"
		}
		for _, o := range page.Orders {
			id := messages.OrderID(o.OrderID)
			if _, twice := listed[id]; twice {
				return "order " + o.OrderID + " is listed twice"
			}
			listed[id] = o
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for id, h := range j.orders {
		o, ok := listed[id]
		switch {
		case !ok:
			return "order " + string(id) + " is not listed"
		case o.Status != h.state.Status.String() || o.Sequence != h.state.Last:
			return "order " + string(id) + " is listed as " + o.Status + ", and is " + h.state.Status.String() + h.story()
		}
		delete(listed, id)
	}
	for id := range listed {
		return "order " + string(id) + " is listed, and has no history"
	}
	return ""
}
