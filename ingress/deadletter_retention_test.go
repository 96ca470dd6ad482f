package ingress_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// Dead letters older than the retention are deleted, and no others, also if some between them were deleted before.
func TestDeadLetterRetention(t *testing.T) {
	_, js := startServer(t)
	stream := openStream(t, js, messages.StreamDead)
	r, err := ingress.NewDeadLetterRetention(js, time.Hour, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	stored := make([]time.Time, n+1)
	for seq := uint64(1); seq <= n; seq++ {
		storeMsg(t, js, messages.SubjectDead+"o", nil, "dead")
		m, err := stream.GetMsg(natstest.Context(t), seq)
		if err != nil {
			t.Fatal(err)
		}
		stored[seq] = m.Time
	}
	gaps := []uint64{2, 3, 17, 18, 19, n}
	for _, gap := range gaps {
		if err := stream.DeleteMsg(natstest.Context(t), gap); err != nil {
			t.Fatal(err)
		}
	}
	if deleted, err := r.Sweep(natstest.Context(t)); deleted != 0 || err != nil {
		t.Errorf("%d dead letters deleted that are not old, %v", deleted, err)
	}
	left := uint64(n - len(gaps))
	for seq := uint64(1); seq < n; seq++ {
		deleted, err := r.DeleteBefore(natstest.Context(t), stored[seq])
		if err != nil {
			t.Fatal(err)
		}
		first := seq
		for slices.Contains(gaps, first) {
			first++
		}
		state := openStream(t, js, messages.StreamDead).CachedInfo().State
		if left -= deleted; state.FirstSeq != first || state.Msgs != left {
			t.Fatalf("before %d: the first dead letter is %d of %d, want %d of %d", seq, state.FirstSeq, state.Msgs, first, left)
		}
	}
	if deleted, err := r.DeleteBefore(natstest.Context(t), time.Now().Add(time.Hour)); deleted != 1 || err != nil {
		t.Errorf("%d dead letters deleted of the last one, %v", deleted, err)
	}
	if deleted, err := r.Sweep(natstest.Context(t)); deleted != 0 || err != nil {
		t.Errorf("%d dead letters deleted of none, %v", deleted, err)
	}
	if _, err := ingress.NewDeadLetterRetention(js, 0, nil); err == nil {
		t.Error("a retention of 0 is accepted")
	}
}

// At its limit in bytes the stream of dead letters removes the oldest ones: it never refuses one, which would leave messages in
// the inbox.
func TestDeadLettersAtTheirLimit(t *testing.T) {
	_, js := startServer(t)
	stream := openStream(t, js, messages.StreamDead)
	cfg := stream.CachedInfo().Config
	if cfg.MaxBytes != ingress.DefaultDeadBytes {
		t.Fatalf("the stream is bounded to %d bytes", cfg.MaxBytes)
	}
	cfg.MaxBytes = 1 << 20
	if _, err := js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
	startInbox(t, js, ingress.Config{})
	const n = 30
	for i := range n {
		storeMsg(t, js, fmt.Sprintf("ORDER.o-%d", i), nil, strings.Repeat("x", 100<<10))
	}
	waitEmpty(t, js, messages.StreamOrders)
	all := waitDeadLetters(t, ingress.NewDeadLetters(js), 1)
	last := slices.MaxFunc(all, func(a, b *ingress.DeadLetter) int { return int(a.Sequence) - int(b.Sequence) })
	if len(all) >= n || last.OrderID != messages.OrderID(fmt.Sprintf("o-%d", n-1)) {
		t.Errorf("%d of %d dead letters are stored, the last one of order %s", len(all), n, last.OrderID)
	}
}

// A store with less room than the dead letters may take keeps no node from starting.
func TestStreamsInASmallStore(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 10 << 20 })
	js := s.JetStream()
	for range 2 {
		ensureStreams(t, js, testAckWait)
	}
	if got := openStream(t, js, messages.StreamDead).CachedInfo().Config.MaxBytes; got != -1 {
		t.Errorf("the dead letters are bounded to %d bytes of 10 MiB", got)
	}
}
