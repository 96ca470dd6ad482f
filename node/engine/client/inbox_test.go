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
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// about stores a message about the order of a type and returns when.
func (w *world) about(kind messages.Type) time.Time {
	w.Helper()
	m := &nats.Msg{Subject: messages.SubjectOrder + "o-1", Header: nats.Header{messages.HeaderType: {string(kind)}}, Data: []byte("{}")}
	ack, err := w.js.PublishMsg(w.Context(), m)
	w.must(err)
	s, err := w.js.Stream(w.Context(), messages.StreamOrders)
	w.must(err)
	stored, err := s.GetMsg(w.Context(), ack.Sequence)
	w.must(err)
	return stored.Time
}

// garbled stores a message with headers that nobody can read, which no client library would send.
func (w *world) garbled() {
	w.Helper()
	last := func() uint64 {
		s, err := w.js.Stream(w.Context(), messages.StreamOrders)
		w.must(err)
		return s.CachedInfo().State.LastSeq
	}
	before := last()
	conn, err := net.Dial("tcp", w.srv.Addr().String())
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
	// The server has it then, and stores it when it gets to it.
	for deadline := time.Now().Add(patience); last() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatal("the message is not stored")
		}
	}
}

// awaits checks that the order is unknown, and how many messages are said to wait for it.
func (w *world) awaits(messages int, more bool) {
	w.Helper()
	_, err := w.orders.Order(w.Context(), "o-1")
	var awaited *timeline.PendingMessages
	switch {
	case !errors.Is(err, client.ErrUnknownOrder):
		w.Errorf("error %v, want that the order is unknown", err)
	case messages == 0 && errors.As(err, &awaited):
		w.Errorf("error %v, and nothing waits", err)
	case messages > 0 && (!errors.As(err, &awaited) || *awaited != timeline.PendingMessages{Messages: messages, More: more}):
		w.Errorf("error %v, want that %d messages wait, more: %t", err, messages, more)
	}
}

// An order is received once a message that creates it is stored, at that time; messages about it are none of them.
func TestReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaits(0, false)
	w.about(messages.TypeRetry)
	w.awaits(1, false)
	w.about("order.strange")
	for range 2 { // of another order
		_, err := w.js.Publish(t.Context(), messages.SubjectOrder+"o-2", nil)
		w.must(err)
	}
	w.garbled()
	w.awaits(3, false)
	at := w.about(messages.TypeCreated)
	w.about(messages.TypeCreated)
	v, err := w.orders.Order(t.Context(), "o-1")
	w.must(err)
	if v.Status != timeline.Received || !v.StatusSince.Equal(at) || !v.CreatedAt.Equal(at) || !v.UpdatedAt.Equal(at) {
		t.Errorf("%s since %s, created %s, updated %s, want received at %s", v.Status, v.StatusSince, v.CreatedAt, v.UpdatedAt, at)
	}
}

// However many messages wait, few are looked at.
func TestManyWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range client.MaxLooked - 1 {
		w.about(messages.TypeSignal)
	}
	w.awaits(client.MaxLooked-1, false)
	w.about(messages.TypeSignal)
	w.awaits(client.MaxLooked, true)
	w.about(messages.TypeSignal)
	w.awaits(client.MaxLooked, true)
}

// A message that creates the order may come after as many others as are looked at.
func TestReceivedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range client.MaxLooked - 1 {
		w.about(messages.TypeCancel)
	}
	w.about("")
	if v, err := w.orders.Order(t.Context(), "o-1"); err != nil || v.Status != timeline.Received {
		t.Errorf("%+v, %v: want the order received", v, err)
	}
}
