package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/ingress"
)

// runSendBack runs sendBack on the sequences 1 to n, and returns what it tells.
func runSendBack(ctx context.Context, n int, redrive func(context.Context, uint64) (uint64, error)) (out, told string) {
	seqs := make([]uint64, n)
	for i := range seqs {
		seqs[i] = uint64(i + 1)
	}
	var screen syncBuffer
	if err := sendBack(ctx, terminal{out: &screen}, seqs, redrive); err != nil {
		told = err.Error()
	}
	return screen.String(), told
}

// TestSendBackStops at the first failure that is not about one dead letter, and says what is left.
func TestSendBackStops(t *testing.T) {
	away := errors.New("nats: no servers")
	asked := 0
	out, told := runSendBack(t.Context(), 6000, func(_ context.Context, seq uint64) (uint64, error) {
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
	if told != want {
		t.Errorf("got\n%s\nwant\n%s", told, want)
	}
}

// TestSendBackLimitsErrors of what cannot be sent back, and counts the rest.
func TestSendBackLimitsErrors(t *testing.T) {
	out, told := runSendBack(t.Context(), 100, func(context.Context, uint64) (uint64, error) { return 0, ingress.ErrNotRedrivable })
	if want := strings.Repeat(ingress.ErrNotRedrivable.Error()+"\n", maxListed) + "and 90 more"; told != want || out != "" {
		t.Errorf("got\n%s%s\nwant\n%s", out, told, want)
	}
}

// TestSendBackInterrupted: the dead letter under way is sent back and deleted, no other is begun, and what was done is told.
func TestSendBackInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, told := runSendBack(ctx, 3, func(ctx context.Context, seq uint64) (uint64, error) {
		cancel()
		return 10 + seq, ctx.Err()
	})
	if out != "1 sent back as message 11\n1 of 3 sent back\n" || told != "interrupted\n2 of 3 remain: repeat the command to send them back" {
		t.Errorf("got\n%s%s", out, told)
	}
}
