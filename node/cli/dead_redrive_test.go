package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/ingress"
)

// runSendBack runs sendBack on the sequences 1 to n, and returns its output and the text of its error.
func runSendBack(ctx context.Context, n int, redrive func(context.Context, uint64) (uint64, error)) (out, errText string) {
	seqs := make([]uint64, n)
	for i := range seqs {
		seqs[i] = uint64(i + 1)
	}
	var screen syncBuffer
	if err := sendBack(ctx, terminal{out: &screen}, seqs, redrive); err != nil {
		errText = err.Error()
	}
	return screen.String(), errText
}

// TestSendBackStops: sendBack stops at the first failure that is not about one dead letter, and counts the remaining ones.
func TestSendBackStops(t *testing.T) {
	away := errors.New("nats: no servers")
	asked := 0
	out, errText := runSendBack(t.Context(), 6000, func(_ context.Context, seq uint64) (uint64, error) {
		switch asked++; seq {
		case 1:
			return 41, nil
		case 2:
			return 0, fmt.Errorf("get dead letter 2: %w", ingress.ErrNoDeadLetter)
		case 3:
			return 0, fmt.Errorf("redrive dead letter 3: %w", ingress.ErrNotRedrivable)
		case 4:
			return 42, nil
		}
		return 0, fmt.Errorf("redrive dead letter %d: %w", seq, away)
	})
	if want := "1 sent back as message 41\n4 sent back as message 42\n2 of 6000 sent back\n"; out != want || asked != 5 {
		t.Errorf("asked %d times\n%s\nwant\n%s", asked, out, want)
	}
	want := "get dead letter 2: no such dead letter\nredrive dead letter 3: not redrivable: publish a corrected message instead\n" +
		"redrive dead letter 5: nats: no servers\n5996 of 6000 remain: repeat the command to send them back"
	if errText != want {
		t.Errorf("got\n%s\nwant\n%s", errText, want)
	}
}

// TestSendBackLimitsErrors: only the first errors about dead letters that cannot be sent back are printed; the others are
// counted.
func TestSendBackLimitsErrors(t *testing.T) {
	out, errText := runSendBack(t.Context(), 100, func(context.Context, uint64) (uint64, error) { return 0, ingress.ErrNotRedrivable })
	if want := strings.Repeat(ingress.ErrNotRedrivable.Error()+"\n", maxListed) + "and 90 more"; errText != want || out != "" {
		t.Errorf("got\n%s%s\nwant\n%s", out, errText, want)
	}
}

// TestSendBackInterrupted: the dead letter in progress is sent back and deleted, no other is started, and the result is
// printed.
func TestSendBackInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, errText := runSendBack(ctx, 3, func(ctx context.Context, seq uint64) (uint64, error) {
		cancel()
		return 10 + seq, ctx.Err()
	})
	if out != "1 sent back as message 11\n1 of 3 sent back\n" || errText != "interrupted\n2 of 3 remain: repeat the command to send them back" {
		t.Errorf("got\n%s%s", out, errText)
	}
}
