package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
)

func newDeadRedrive(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive SEQ… | --all",
		Short: "Send dead letters back to the inbox",
		Long: `Send dead letters back to the inbox, as they were published, once their cause is repaired. Each is stored in the inbox
before it is deleted from the dead letters, so that a crash in between loses nothing. Repeated within two minutes of such a
crash, the command sends nothing twice. Later it may send one message twice: a second order is a duplicate, a second signal
counts.

A dead letter that cannot be sent back is reported, and the others are sent. Any other failure, and Ctrl-C, end the run: the
other dead letters stay, and the command can be repeated. --all skips and counts the dead letters that no node stored: their
original message is unknown.

At the end the command waits, and prints how many messages took effect, had none, or are dead letters again; then, and if one is
still in the inbox, the exit code is 1.`,
		Example: "  orderly dead redrive 17 18\n  orderly dead redrive --all --reason \"no such order\"",
		Args:    cobra.ArbitraryArgs,
	}
	selection := selectDead(cmd)
	timeout := cmd.Flags().Duration("timeout", 10*time.Second, "longest wait for what becomes of the messages; 0: do not wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		selected, err := selection(args)
		if err != nil {
			return err
		}
		if *timeout < 0 {
			return usage(fmt.Errorf("--timeout is %s: want 0 or more", *timeout))
		}
		return withConnection(cmd.Context(), t, func(c *connection) error {
			d := ingress.NewDeadLetters(c.js)
			// All are listed before the first is sent back: one that fails again is a new dead letter and would be listed for ever.
			foreign := 0
			seqs, err := selected.list(cmd.Context(), d, func(l *ingress.DeadLetter) bool {
				if l.Foreign {
					foreign++
				}
				return l.Foreign
			})
			if err != nil {
				return err
			}
			if foreign > 0 {
				fmt.Fprintf(t.out, "%d skipped, which no node stored; see them with \"orderly dead list\"\n", foreign)
			}
			o := &outcomes{js: c.js, dead: d}
			if len(seqs) > 0 {
				o.from = slices.Max(seqs) + 1
			}
			return errors.Join(sendBack(cmd.Context(), t, seqs, o.redrive), o.await(cmd.Context(), t, *timeout))
		})
	}
	return cmd
}

// sendBack redrives dead letters one by one and prints the results. An error about one of them is reported, and the next is
// tried; any other error ends the run. When ctx ends, the current one is finished first.
func sendBack(ctx context.Context, t terminal, seqs []uint64, redrive func(context.Context, uint64) (uint64, error)) error {
	var failed errorList
	var stopped error
	sent := 0
	for _, seq := range seqs {
		if ctx.Err() != nil {
			stopped = errInterrupted
			break
		}
		now, err := redrive(context.WithoutCancel(ctx), seq)
		if errors.Is(err, ingress.ErrNoDeadLetter) || errors.Is(err, ingress.ErrNotRedrivable) {
			failed.add(err)
			continue
		}
		if err != nil {
			stopped = err
			break
		}
		sent++
		fmt.Fprintf(t.out, "%d sent back as message %d\n", seq, now)
	}
	if sent > 0 || len(seqs) == 0 {
		fmt.Fprintf(t.out, "%d of %d sent back\n", sent, len(seqs))
	}
	if stopped == nil {
		return errors.Join(failed.errors()...)
	}
	left := fmt.Errorf("%d of %d remain: repeat the command to send them back", len(seqs)-sent-failed.n, len(seqs))
	return errors.Join(append(failed.errors(), stopped, left)...)
}
