package demo_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

func TestEffectsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "effects.jsonl")
	var first *messages.StepReply
	func() {
		nc := natstest.Start(t, natstest.NoJetStream).Connect()
		s, err := demo.Start(nc, demo.Config{Ledger: path})
		if err != nil {
			t.Fatal(err)
		}
		c := newCaller(t, nc)
		first = c.must("reserve_inventory", messages.Do, order("o-1"))
		c.must("reserve_inventory", messages.Undo, order("o-2"))
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}()
	// A crash in the middle of an append leaves a torn line.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"key":"o-3/reserve_inv`...), 0o600); err != nil {
		t.Fatal(err)
	}
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{Ledger: path})
	c := newCaller(t, nc)
	if again := c.must("reserve_inventory", messages.Do, order("o-1")); !proto.Equal(again, first) {
		t.Errorf("got %s, want the answer from before: %s", again, first)
	}
	if r := c.must("reserve_inventory", messages.Do, order("o-2")); r.GetRejected().GetCode() != "undone" {
		t.Errorf("a key that was closed before answered %s", r)
	}
	c.must("reserve_inventory", messages.Do, order("o-3"))
	if st := s.Stats(); st.Effects != 2 || len(st.Twice) != 0 || st.Repeats != 2 {
		t.Errorf("stats %+v", st)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), string(whole)) {
		t.Fatalf("ledger %q, %v: want the old lines first", text, err)
	}
	more := strings.TrimPrefix(string(text), string(whole))
	if !json.Valid([]byte(more)) || strings.Count(more, "\n") != 1 {
		t.Errorf("ledger got %q, want one line", more)
	}
}

func TestBrokenLedgerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "effects.jsonl")
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := demo.Start(natstest.Start(t, natstest.NoJetStream).Connect(), demo.Config{Ledger: path})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v, want the file and the line", err)
	}
}

func TestOnlyOneProcessHostsThem(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{})
	if _, err := demo.Start(nc, demo.Config{}); !errors.Is(err, demo.ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// Subscriptions are drained in the background.
	deadline := time.Now().Add(soon)
	for {
		again, err := demo.Start(nc, demo.Config{})
		if err == nil {
			if err := again.Stop(); err != nil {
				t.Error(err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("services did not start again: %v", err)
		}
	}
}

func TestStopDropsAnswersThatAreDue(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{Behaviors: demo.All(demo.Behavior{Latency: time.Minute})})
	inbox := nc.NewInbox()
	body := `{"order_id":"o-1","step":"reserve_inventory","direction":"do","idempotency_key":"o-1/reserve_inventory/do"}`
	if err := nc.PublishRequest("inventory.reserve", inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the call has its effect", func() bool { return s.Stats().Effects > 0 })
	begin := time.Now()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > soon {
		t.Errorf("stop took %s", took)
	}
}
