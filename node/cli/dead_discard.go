package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
)

func newDeadDiscard(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discard SEQ… | --all",
		Short: "Delete dead letters for good",
		Long: `Delete dead letters for good, with their messages. With --all nothing is deleted without --yes. "orderly verify" still
accounts for the messages.`,
		Example: "  orderly dead discard 17 18\n  orderly dead discard --all --reason \"is not a protobuf\" --yes",
		Args:    cobra.ArbitraryArgs,
	}
	selection := selectDead(cmd)
	yes := cmd.Flags().Bool("yes", false, "with --all: delete them")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		selected, err := selection(args)
		if err != nil {
			return err
		}
		return withDeadLetters(cmd.Context(), t, func(d *ingress.DeadLetters) error {
			seqs, err := selected.list(cmd.Context(), d, func(*ingress.DeadLetter) bool { return false })
			if err != nil {
				return err
			}
			if selected.all && !*yes {
				_, err := fmt.Fprintf(t.out, "%s to delete\nnothing is deleted; add --yes to delete them\n", count(int64(len(seqs)), "dead letter"))
				return err
			}
			var missing errorList
			deleted := 0
			for _, seq := range seqs {
				err := d.Discard(cmd.Context(), seq)
				if errors.Is(err, ingress.ErrNoDeadLetter) {
					missing.add(err)
					continue
				}
				if err != nil {
					return fmt.Errorf("%d of %d deleted: %w", deleted, len(seqs), err)
				}
				deleted++
			}
			fmt.Fprintf(t.out, "%d of %d deleted\n", deleted, len(seqs))
			return errors.Join(missing.errors()...)
		})
	}
	return cmd
}
