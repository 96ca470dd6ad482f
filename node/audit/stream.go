package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
)

// idleTimeout is how long the next message of a stream may take.
const idleTimeout = 10 * time.Second

// pullExpiry is how long the server keeps a request for messages. In a cluster a request can be lost that directly follows the
// creation of its consumer: nats.go makes another consumer after this time without a heartbeat, before idleTimeout is over.
const pullExpiry = 4 * time.Second

// each calls take with every message that the stream stores now, in order.
func (r *reader) each(ctx context.Context, s jetstream.Stream, headersOnly bool, take func(uint64, jetstream.Msg)) (StreamCount, error) {
	name := s.CachedInfo().Config.Name
	info, err := s.Info(ctx)
	if err != nil {
		return StreamCount{}, fmt.Errorf("get the state of stream %s: %w", name, err)
	}
	last := info.State.LastSeq
	count := StreamCount{Messages: info.State.Msgs, Removed: last - info.State.Msgs}
	if info.State.Msgs == 0 {
		return count, nil
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: headersOnly, InactiveThreshold: time.Minute})
	if err != nil {
		return count, fmt.Errorf("read stream %s: %w", name, err)
	}
	defer ingress.RemoveConsumer(ctx, r.js, name, consumer)
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(2000), jetstream.PullExpiry(pullExpiry))
	if err != nil {
		return count, fmt.Errorf("read stream %s: %w", name, err)
	}
	defer msgs.Stop()
	for seen := uint64(0); seen < last; {
		m, err := next(ctx, msgs)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			var more bool
			if more, err = storesAny(ctx, s, seen+1, last); !more && err == nil {
				return count, nil
			}
			err = cmp.Or(err, fmt.Errorf("no message within %s", idleTimeout))
		}
		var meta *jetstream.MsgMetadata
		if err == nil {
			meta, err = m.Metadata()
		}
		if err != nil {
			return count, fmt.Errorf("read stream %s after message %d of %d: %w", name, seen, last, err)
		}
		if seen = meta.Sequence.Stream; seen <= last {
			take(seen, m)
		}
	}
	return count, nil
}

// storesAny reports whether a message from first to last is still stored: those not read yet may have been removed since.
func storesAny(ctx context.Context, s jetstream.Stream, first, last uint64) (bool, error) {
	m, err := s.GetMsg(ctx, first, jetstream.WithGetMsgSubject(">"))
	found, err := isStored(m, err)
	return found && m.Sequence <= last, err
}

// isStored reports whether a get found a message.
func isStored(_ *jetstream.RawStreamMsg, err error) (bool, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// next waits at most idleTimeout; the error is context.DeadlineExceeded then.
func next(ctx context.Context, msgs jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, idleTimeout)
	defer cancel()
	return msgs.Next(jetstream.NextContext(ctx))
}

// window lists the sequences that a stream stores at one moment: those from first to last that are not deleted.
type window struct {
	first, last uint64
	deleted     []uint64
	count       uint64
}

// readWindow asks the stream's leader. The reply lists each gap: a work queue has few, since its messages are held briefly.
func readWindow(ctx context.Context, s jetstream.Stream) (window, error) {
	info, err := s.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return window{}, fmt.Errorf("get the state of stream %s: %w", s.CachedInfo().Config.Name, err)
	}
	state := info.State
	slices.Sort(state.Deleted)
	return window{first: state.FirstSeq, last: state.LastSeq, deleted: state.Deleted, count: state.Msgs}, nil
}

// set has the sequences that are stored.
func (w window) set() ledger.Set {
	return ledger.Range(max(w.first, 1), w.last).Without(ledger.NewSet(slices.Clone(w.deleted)))
}

func (w window) stores(seq uint64) bool {
	_, deleted := slices.BinarySearch(w.deleted, seq)
	return w.first <= seq && seq <= w.last && !deleted
}
