package client_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// publish stores a message about the order and returns when.
func (w *testServer) publish(kind messages.Type) time.Time {
	w.Helper()
	m := &nats.Msg{Subject: messages.SubjectOrder + "o-1", Header: nats.Header{messages.HeaderType: {string(kind)}}, Data: []byte("{}")}
	ack, err := w.js.PublishMsg(w.Context(), m)
	w.must(err)
	stored, err := w.stream(messages.StreamOrders).GetMsg(w.Context(), ack.Sequence)
	w.must(err)
	return stored.Time
}

// publishMalformed stores a message with malformed headers, which no client library would send.
func (w *testServer) publishMalformed() {
	w.Helper()
	last := func() uint64 { return w.stream(messages.StreamOrders).CachedInfo().State.LastSeq }
	before := last()
	conn, err := net.Dial("tcp", w.server.Addr().String())
	w.must(err)
	defer conn.Close()
	const block = "garbage\r\n\r\n"
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB ORDER.o-1 %d %d\r\n%s{}\r\nPING\r\n", len(block), len(block)+2, block)
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		w.must(err)
		if strings.HasPrefix(line, "PONG") {
			break
		}
	}
	natstest.Eventually(w, "the message is stored", func() bool { return last() > before })
}

// wantPending checks that the order is unknown, and how many messages about it are pending.
func (w *testServer) wantPending(messages int, more bool) {
	w.Helper()
	_, err := w.client.Order(w.Context(), "o-1")
	var pending *timeline.PendingMessages
	switch {
	case !errors.Is(err, client.ErrUnknownOrder):
		w.Errorf("error %v, want %v", err, client.ErrUnknownOrder)
	case messages == 0 && errors.As(err, &pending):
		w.Errorf("error %v, want no pending messages", err)
	case messages > 0 && (!errors.As(err, &pending) || *pending != timeline.PendingMessages{Messages: messages, More: more}):
		w.Errorf("error %v, want %d pending messages, more: %t", err, messages, more)
	}
}

// An order is received when a message that creates it is stored; other messages about it do not create it.
func TestReceived(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.wantPending(0, false)
	w.publish(messages.TypeRetry)
	w.wantPending(1, false)
	w.publish("order.strange")
	for range 2 { // of another order
		_, err := w.js.Publish(t.Context(), messages.SubjectOrder+"o-2", nil)
		w.must(err)
	}
	w.publishMalformed()
	w.wantPending(3, false)
	at := w.publish(messages.TypeCreated)
	w.publish(messages.TypeCreated)
	v, err := w.client.Order(t.Context(), "o-1")
	w.must(err)
	if v.Status != timeline.Received || !v.StatusSince.Equal(at) || !v.CreatedAt.Equal(at) || !v.UpdatedAt.Equal(at) {
		t.Errorf("%s since %s, created %s, updated %s, want received at %s", v.Status, v.StatusSince, v.CreatedAt, v.UpdatedAt, at)
	}
}

// Only the first MaxInboxReads messages are read.
func TestManyPendingMessages(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	for range client.MaxInboxReads - 1 {
		w.publish(messages.TypeSignal)
	}
	w.wantPending(client.MaxInboxReads-1, false)
	w.publish(messages.TypeSignal)
	w.wantPending(client.MaxInboxReads, true)
	w.publish(messages.TypeSignal)
	w.wantPending(client.MaxInboxReads, true)
}

// The created message can be the last of the messages that are read.
func TestReceivedAfterOthers(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	for range client.MaxInboxReads - 1 {
		w.publish(messages.TypeCancel)
	}
	w.publish("")
	if v, err := w.client.Order(t.Context(), "o-1"); err != nil || v.Status != timeline.Received {
		t.Errorf("%+v, %v: want the order received", v, err)
	}
}
