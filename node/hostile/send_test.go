package hostile_test

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// chunk is how many messages are published before the acknowledgements of all of them are awaited.
const chunk = 4000

// publish publishes n messages and returns when all are stored.
func (h *harness) publish(n int, message func(i int) *nats.Msg) {
	h.Helper()
	for first := 0; first < n; first += chunk {
		acks := make([]jetstream.PubAckFuture, 0, chunk)
		for i := first; i < min(first+chunk, n); i++ {
			ack, err := h.js.PublishMsgAsync(message(i))
			for errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
				ack, err = h.js.PublishMsgAsync(message(i))
			}
			if err != nil {
				h.Fatalf("publish: %v", err)
			}
			acks = append(acks, ack)
		}
		natstest.Receive(h, h.js.PublishAsyncComplete(), "all messages are stored")
		for _, ack := range acks {
			select {
			case err := <-ack.Err():
				h.Fatalf("publish %s: %v", ack.Msg().Subject, err)
			default:
			}
		}
	}
}

// about is a message about an order; without a type it creates the order.
func about(id string, t messages.Type, body []byte) *nats.Msg {
	m := nats.NewMsg(messages.SubjectOrder + id)
	if t != "" {
		m.Header.Set(messages.HeaderType, string(t))
	}
	m.Data = body
	return m
}

// taken waits until no message is in the inbox that was stored before the call.
func (h *harness) taken() {
	h.Helper()
	s, err := h.js.Stream(h.Context(), messages.StreamOrders)
	if err != nil {
		h.Fatal(err)
	}
	end := s.CachedInfo().State.LastSeq
	first, deadline := uint64(0), time.Time{}
	for ; ; <-time.After(20 * time.Millisecond) {
		info, err := s.Info(h.Context())
		if err == nil && info.State.FirstSeq > end {
			return
		}
		if err == nil && info.State.FirstSeq != first {
			first, deadline = info.State.FirstSeq, time.Now().Add(natstest.Patience)
		}
		if h.node.gone() || !deadline.IsZero() && time.Now().After(deadline) {
			h.Fatalf("the first message in the inbox has been the same for %s: %+v, %v\n%s", natstest.Patience, info.State, err, h.node.tail())
		}
	}
}
