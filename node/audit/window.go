package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// window says at one moment which sequences a stream stores: those from first to last that are not gone.
type window struct {
	first, last uint64
	gone        []uint64
	count       uint64
}

// look asks the stream's leader. The answer lists the gaps one by one: a work queue has few, since nothing is held for
// long.
func look(ctx context.Context, s jetstream.Stream) (window, error) {
	info, err := s.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return window{}, fmt.Errorf("look into stream %s: %w", s.CachedInfo().Config.Name, err)
	}
	slices.Sort(info.State.Deleted)
	return window{
		first: info.State.FirstSeq, last: info.State.LastSeq, gone: info.State.Deleted,
		count: info.State.Msgs,
	}, nil
}

func (w window) stores(seq uint64) bool {
	if seq < w.first || seq > w.last {
		return false
	}
	_, gone := slices.BinarySearch(w.gone, seq)
	return !gone
}
