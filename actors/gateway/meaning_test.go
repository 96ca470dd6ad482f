package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// TestMeaningOf: every end of a call has words, and only an answer that a service should give is understood.
func TestMeaningOf(t *testing.T) {
	failed := func(f delivery.Failure) error {
		f.Err = errors.New("x")
		return fmt.Errorf("wrapped: %w", &f)
	}
	did := &messages.StepReply{Result: &messages.StepReply_Done{}}
	refused := &messages.StepReply{Result: &messages.StepReply_Rejected{}}
	pending := &messages.StepReply{Result: &messages.StepReply_Pending{}}
	again := &messages.StepReply{Result: &messages.StepReply_Retry{}}
	seen := map[string]bool{}
	for _, c := range []struct {
		direction  messages.Direction
		reply      *messages.StepReply
		err        error
		want       string
		understood bool
	}{
		{messages.Do, did, nil, "done", true},
		{messages.Undo, did, nil, "undone", true},
		{messages.Do, refused, nil, "rejected", true},
		{messages.Undo, refused, nil, "undo rejected", true},
		{messages.Do, pending, nil, "pending", true},
		{messages.Undo, pending, nil, "undo pending", true},
		{messages.Do, again, nil, "retry", true},
		{messages.Undo, again, nil, "retry", true},
		{messages.Do, &messages.StepReply{}, nil, "unreadable", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Rejected, Code: "422"}), "rejected by its status", true},
		{messages.Undo, nil, failed(delivery.Failure{Kind: messages.Rejected, Code: "422"}), "undo rejected", true},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Transient}), "temporary failure", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Transient, InDoubt: true}), "in doubt", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Setup}), "set-up fault", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Setup, InDoubt: true}), "set-up fault", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Unreadable, InDoubt: true}), "unreadable", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Unreadable, Done: true}), "done, data too large", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Poison}), "impossible", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Poison, InDoubt: true}), "impossible", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Defect}), "defect", false},
		{messages.Do, nil, failed(delivery.Failure{Kind: messages.Transient, Deferral: &delivery.Deferral{}}), "deferred", false},
		{messages.Do, nil, errors.New("untyped"), "temporary failure", false},
	} {
		got := gateway.MeaningOf(c.direction, c.reply, c.err)
		if got.Outcome != c.want || got.Understood != c.understood || got.Effect == "" {
			t.Errorf("%s of %v, %v: got %+v, want %s, understood %t", c.direction.Label(), c.reply, c.err, got, c.want, c.understood)
		}
		seen[got.Outcome] = true
	}
	for _, m := range gateway.Meanings() {
		if !seen[m.Outcome] {
			t.Errorf("no end of a call is %q", m.Outcome)
		}
		delete(seen, m.Outcome)
	}
	for outcome := range seen {
		t.Errorf("Meanings lacks %q", outcome)
	}
}

// TestMeaningsAreDocumented: the documents have the same words.
func TestMeaningsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/plans.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range gateway.Meanings() {
		if row := fmt.Sprintf("\n| %s | %s |\n", m.Outcome, m.Effect); !strings.Contains(string(text), row) {
			t.Errorf("docs/plans.md lacks the row%s", row)
		}
	}
}
