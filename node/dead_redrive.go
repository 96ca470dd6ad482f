package main

import (
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
inbox before it is deleted here, so that a crash in between loses nothing.`,
		Example: "  orderly dead redrive 17 18\n  orderly dead redrive --all --reason \"no such order\"",
		Args:    cobra.ArbitraryArgs,
	}
	filter := deadFilter(cmd)
	all := cmd.Flags().Bool("all", false, "all that --reason and --order choose")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := filter()
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
				found, err := d.List(cmd.Context(), f, 0)
				if err != nil {
					return err
				}
				for _, l := range found {
					seqs = append(seqs, l.Sequence)
				}
			}
			var failed []error
			for _, seq := range seqs {
				now, err := d.Redrive(cmd.Context(), seq)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintf(t.out, "%d sent back as message %d\n", seq, now)
			}
			if len(failed) < len(seqs) || len(seqs) == 0 {
				fmt.Fprintf(t.out, "%d of %d sent back\n", len(seqs)-len(failed), len(seqs))
			}
			return errors.Join(failed...)
		})
	}
	return cmd
}
