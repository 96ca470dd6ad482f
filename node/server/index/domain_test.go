package index_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/index"
)

// TestJournalInAnotherDomain: the index reads the journal of its client's JetStream domain.
func TestJournalInAnotherDomain(t *testing.T) {
	t.Parallel()
	hub, leaf := natstest.Leaf(t)
	nc := leaf.Connect()
	js, err := jetstream.NewWithDomain(nc, natstest.LeafDomain)
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, nc: nc, js: js, last: map[string]uint64{}}
	if err := ingress.EnsureStreams(natstest.Context(t), hub.JetStream(), ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
	leaf.WaitForInterest(messages.SubjectEvent + "o-1")
	x, _ := s.run(index.Config{Dir: t.TempDir()})
	histories := s.appendHistories(10, "o")
	waitCaughtUp(t, x)
	requireIndexed(t, x, histories)
}
