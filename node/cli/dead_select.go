package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
)

// deadSelection is the dead letters that a command applies to: those with the sequences in its arguments, or with --all those that
// --reason and --order select.
type deadSelection struct {
	all    bool
	filter ingress.DeadFilter
	seqs   []uint64
}

// selectDead adds the flags of a selection. What it returns reads the flags and the arguments.
func selectDead(cmd *cobra.Command) func(args []string) (deadSelection, error) {
	filter := deadFilter(cmd)
	all := cmd.Flags().Bool("all", false, "all that --reason and --order select")
	return func(args []string) (deadSelection, error) {
		f, err := filter()
		if err == nil {
			err = notEmpty(cmd, "reason", "order")
		}
		switch {
		case err != nil:
			return deadSelection{}, usage(err)
		case *all == (len(args) > 0):
			return deadSelection{}, usage(errors.New("name the sequences of dead letters, or --all"))
		case len(args) > 0 && (f != ingress.DeadFilter{}):
			return deadSelection{}, usage(errors.New("--reason and --order go with --all"))
		}
		seqs, err := sequences(args)
		return deadSelection{all: *all, filter: f, seqs: seqs}, err
	}
}

// list returns the sequences of the selection. With --all it leaves out what skip reports.
func (s deadSelection) list(ctx context.Context, d *ingress.DeadLetters, skip func(*ingress.DeadLetter) bool) ([]uint64, error) {
	if !s.all {
		return s.seqs, nil
	}
	var seqs []uint64
	_, err := eachDeadLetter(ctx, d, s.filter, 0, func(l *ingress.DeadLetter) error {
		if !skip(l) {
			seqs = append(seqs, l.Sequence)
		}
		return nil
	})
	return seqs, err
}
