package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestRepair: foreign messages are listed, and removed with --yes alone; the timer that one of them cancelled is set again.
func TestRepair(t *testing.T) {
	t.Parallel()
	p, _ := startWithParkedOrder(t)
	if got := ok(t, p.environ, "repair", "--yes"); got != "every message was stored by a node: nothing to remove\n" {
		t.Errorf("got %q", got)
	}
	want := ""
	for _, subject := range []string{"ORDER_DEAD.x", "ORDER_EVENT.o-1", "ORDER_EVENT.x", "ORDER_PLAN.other.1", "ORDER_TIMER.o-1"} {
		// What a publisher has JetStream store by the reply subject of an order's message.
		in := map[string]string{"ORDER_DEAD": messages.StreamDead, "ORDER_EVENT": messages.StreamEvents, "ORDER_PLAN": messages.StreamPlans, "ORDER_TIMER": messages.StreamTimers}[strings.Split(subject, ".")[0]]
		before, _ := stream(t, p, in).GetLastMsgForSubject(t.Context(), subject) // nil if there is none
		if err := p.jetStream(t).Conn().PublishMsg(&nats.Msg{Subject: "ORDER.poison", Reply: subject, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		var stored *jetstream.RawStreamMsg
		natstest.Eventually(t, subject+" is stored", func() bool {
			m, err := stream(t, p, in).GetLastMsgForSubject(t.Context(), subject)
			stored = m
			return err == nil && (before == nil || m.Sequence > before.Sequence)
		})
		want += fmt.Sprintf("%s %d  %q\n", in, stored.Sequence, subject)
	}
	if got := command(t, p.environ, "", "verify"); got.code != exitFailed || !strings.Contains(got.out, "nothing will wake it") {
		t.Errorf("a cancelled timer: exit code %d\n%s", got.code, got.out)
	}
	for range 2 {
		if got := sorted(ok(t, p.environ, "repair")); got != sorted(want+"5 messages that no node stored; remove them with --yes\n") {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	if got := ok(t, p.environ, "repair", "--yes"); !strings.HasSuffix(got, "order o-1: its timer was cancelled, and is set again\n5 messages removed\n") {
		t.Errorf("got\n%s", got)
	}
	natstest.Eventually(t, "the timer is set again", func() bool {
		got := command(t, p.environ, "", "verify")
		return got.code == exitOK && strings.Contains(strings.Join(strings.Fields(got.out), " "), " scheduled 1 waking 0 ")
	})
	if got := decode[repair](t, ok(t, p.environ, "repair", "-o", "json")); got.Found != 0 || len(got.Messages) != 0 {
		t.Errorf("left: %+v", got)
	}
	if status := p.get(t, "o-1").Status; status != "parked" {
		t.Errorf("order o-1 is %s", status)
	}
	timer, err := stream(t, p, messages.StreamTimers).GetLastMsgForSubject(t.Context(), messages.SubjectTimer+"o-1")
	if err != nil {
		t.Fatal(err)
	}
	due, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(timer.Header.Get("Nats-Schedule"), "@at "))
	if err != nil || due.Before(timer.Time) {
		t.Errorf("the timer is due at %s, %v", due, err)
	}
}

func stream(t *testing.T, p *process, name string) jetstream.Stream {
	t.Helper()
	s, err := p.jetStream(t).Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sorted is the text with its lines in order.
func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}
