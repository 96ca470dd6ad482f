package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// window says at one moment which messages of the inbox are open: those from first to last that are not gone. Up to the
// consumer's acknowledgement floor all are settled, whether they have been swept away or not; above it, one that is
// settled counts as open until the floor has passed it.
type window struct {
	first, last uint64
	gone        []uint64
	count       uint64
}

// look asks the leaders of the inbox and of its consumer. The answer lists the gaps one by one: there are few, since only
// messages that became dead letters leave one.
func look(ctx context.Context, inbox jetstream.Stream) (window, error) {
	floor, err := floorOf(ctx, inbox)
	if err != nil {
		return window{}, err
	}
	info, err := inbox.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return window{}, fmt.Errorf("look into stream %s: %w", messages.StreamOrders, err)
	}
	gone := info.State.Deleted
	slices.Sort(gone)
	w := window{first: info.State.FirstSeq, last: info.State.LastSeq, gone: gone, count: info.State.Msgs}
	if floor > 0 && w.first <= floor {
		settledGone, _ := slices.BinarySearch(gone, floor+1)
		w.count -= floor + 1 - w.first - uint64(settledGone)
		w.first, w.gone = floor+1, gone[settledGone:]
	}
	return w, nil
}

// floorOf is the sequence up to which all messages of the inbox are settled.
func floorOf(ctx context.Context, inbox jetstream.Stream) (uint64, error) {
	c, err := inbox.Consumer(ctx, messages.Consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound): // nobody has consumed anything
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look at consumer %s of stream %s: %w", messages.Consumer, messages.StreamOrders, err)
	}
	return c.CachedInfo().AckFloor.Stream, nil
}

// open reports whether the inbox stores the message and it is not settled.
func (w window) open(seq uint64) bool {
	if seq < w.first || seq > w.last {
		return false
	}
	_, gone := slices.BinarySearch(w.gone, seq)
	return !gone
}
