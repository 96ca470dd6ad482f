package cli

import (
	"context"
	"errors"

	"github.com/orderly-engine/orderly/node/engine/client"
)

// errMoved: the order does not need a person any more for what it was listed with.
var errMoved = errors.New("it has moved on since it was listed")

// aim finds the call that needs a person, which the index does not know, in the order itself. The error is errMoved
// when that is not what the order was listed with: nobody has decided about it.
func (t *target) resolveStep(ctx context.Context, orders *client.Reader) error {
	view, err := orders.Order(ctx, t.id)
	if err != nil && !errors.Is(err, client.ErrUnknownOrder) {
		return err
	}
	if err == nil && view.StatusSince.Equal(t.since) {
		var needed bool
		if t.step, t.direction, needed = view.NeedsAttention(); needed {
			return nil
		}
	}
	return errMoved
}
