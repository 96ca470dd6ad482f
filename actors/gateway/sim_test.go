package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

func TestSimWithoutLatencyEndsInline(t *testing.T) {
	set := newSet(t, nil, gateway.Config{})
	answered := false
	set.Do(call("sim:"), func(r *messages.StepReply, err error) { answered = err == nil && r.GetDone() != nil })
	if !answered {
		t.Error("done was not called before Do returned")
	}
}

func TestSimLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, nil, gateway.Config{})
		start := time.Now()
		if _, err := callAndWait(t, set, call("sim:?latency=250ms")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 250*time.Millisecond {
			t.Errorf("took %s, want 250ms", took)
		}
		slow := call("sim:?latency=3s")
		slow.Step.Timeout = durationpb.New(2 * time.Second)
		start = time.Now()
		_, err := callAndWait(t, set, slow)
		_ = requireFailure(t, err, messages.Transient, "did not answer within 2s")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

// answers returns the results of 4,000 calls by idempotency key.
func answers(t *testing.T, target string, direction messages.Direction, attempt uint32) map[string]string {
	set := newSet(t, nil, gateway.Config{})
	got := map[string]string{}
	for i := range 4000 {
		c := call(target)
		c.Direction = direction
		c.Attempt = attempt
		c.Request.IdempotencyKey = fmt.Sprintf("o-%d/wrap/%s", i, direction.Label())
		reply, err := callAndWait(t, set, c)
		word := result(reply)
		if err != nil {
			_ = requireFailure(t, err, messages.Transient, "sim")
			word = "failed"
		}
		got[c.Request.IdempotencyKey] = word
	}
	return got
}

func count(got map[string]string) map[string]int {
	n := map[string]int{}
	for _, word := range got {
		n[word]++
	}
	return n
}

func TestSimRatesAndDeterminism(t *testing.T) {
	const target = "sim:?fail=0.2&reject=0.25&pending=0.5&seed=7"
	first, again, second := answers(t, target, messages.Do, 1), answers(t, target, messages.Do, 1), answers(t, target, messages.Do, 2)
	n := count(first)
	for word, want := range map[string]int{"failed": 800, "rejected": 800, "pending": 1200, "done": 1200} {
		if n[word] < want*8/10 || n[word] > want*12/10 {
			t.Errorf("%d of 4000 %s, want about %d", n[word], word, want)
		}
	}
	changed := 0
	for key, word := range first {
		if again[key] != word {
			t.Fatalf("%s: %s, then %s with the same seed", key, word, again[key])
		}
		if word == "rejected" && second[key] != "rejected" && second[key] != "failed" {
			t.Fatalf("%s: rejected, then %s", key, second[key])
		}
		if word == "failed" && second[key] != "failed" {
			changed++
		}
	}
	if changed == 0 {
		t.Error("no failed call succeeded at its second attempt")
	}
	other, differ := answers(t, "sim:?fail=0.2&reject=0.25&pending=0.5&seed=8", messages.Do, 1), 0
	for key, word := range first {
		if other[key] != word {
			differ++
		}
	}
	if differ == 0 {
		t.Error("another seed gave the same answers")
	}
}

func TestSimNeverRejectsAnUndo(t *testing.T) {
	n := count(answers(t, "sim:?reject=1&pending=1", messages.Undo, 1))
	if n["done"] != 4000 {
		t.Errorf("answers to undo: %v, want only done", n)
	}
	if n = count(answers(t, "sim:?fail=0.5", messages.Undo, 1)); n["failed"] == 0 {
		t.Errorf("answers to undo: %v, want some failed", n)
	}
}
