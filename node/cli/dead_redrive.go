package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
)

func newDeadRedrive(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive SEQ… | --all",
		Short: "Send dead letters back to the inbox",
		Long: `Send dead letters back to the inbox, as they were published, once what was wrong is repaired. Each is stored in the
inbox before it is deleted here, so that a crash in between loses nothing. Repeated within two minutes of such a crash,
the command sends nothing twice; later it does: a second order is known for a duplicate, a second signal counts.

A dead letter that cannot be sent back is told, and the others are. Any other failure ends the run, and so does Ctrl-C:
what is left then stays a dead letter, and the command can be repeated. --all passes over what no node stored, and counts
it: nobody knows what message that was.`,
		Example: "  orderly dead redrive 17 18\n  orderly dead redrive --all --reason \"no such order\"",
		Args:    cobra.ArbitraryArgs,
	}
	filter := deadFilter(cmd)
	all := cmd.Flags().Bool("all", false, "all that --reason and --order choose")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := filter()
		if err == nil {
			err = notEmpty(cmd, "reason", "order")
		}
		if err != nil {
			return usage(err)
		}
		if *all == (len(args) > 0) {
			return usage(errors.New("name the sequences of dead letters, or --all"))
		}
		if len(args) > 0 && (f != ingress.DeadFilter{}) {
			return usage(errors.New("--reason and --order go with --all"))
		}
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		return withDead(cmd.Context(), t, func(d *ingress.DeadLetters) error {
			if *all {
				foreign := 0
				// All are found before the first is sent back: what dies again is a new dead letter, and would be met for ever.
				if _, err := eachLetter(cmd.Context(), d, f, 0, func(l *ingress.DeadLetter) error {
					if l.Foreign {
						foreign++
					} else {
						seqs = append(seqs, l.Sequence)
					}
					return nil
				}); err != nil {
					return err
				}
				if foreign > 0 {
					fmt.Fprintf(t.out, "%d passed over, which no node stored; see them with \"orderly dead list\"\n", foreign)
				}
			}
			return sendBack(cmd.Context(), t, seqs, d.Redrive)
		})
	}
	return cmd
}

// sendBack redrives dead letters one by one, and says how that goes. A failure that is about one of them is told, and the
// next is tried; any other would meet the next as well, and ends the run. When ctx ends, the one under way is finished.
func sendBack(ctx context.Context, t terminal, seqs []uint64, redrive func(context.Context, uint64) (uint64, error)) error {
	var failed failures
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
	left := fmt.Errorf("%d of %d are left: repeat the command to send them back", len(seqs)-sent-failed.n, len(seqs))
	return errors.Join(append(failed.errors(), stopped, left)...)
}
