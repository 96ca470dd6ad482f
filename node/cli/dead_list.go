package cli

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
)

// deadLetterPage is the number of dead letters whose columns are aligned together.
const deadLetterPage = 100

func newDeadList(t terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List dead letters, oldest first", Args: arguments()}
	filter := deadFilter(cmd)
	limit := cmd.Flags().Int("limit", 100, "maximum number; 0: all")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := filter()
		if err == nil {
			err = cmp.Or(notEmpty(cmd, "reason", "order"), checkLimit(*limit))
		}
		if err != nil {
			return usage(err)
		}
		return withDeadLetters(cmd.Context(), t, func(d *ingress.DeadLetters) error {
			if *output == formatJSON {
				return listDeadLettersJSON(cmd.Context(), t, d, f, *limit)
			}
			return listDeadLetters(cmd.Context(), t, d, f, *limit)
		})
	}
	return cmd
}

// eachDeadLetter calls take for at most limit dead letters (0: all), and returns how many. It stops at the first error.
func eachDeadLetter(ctx context.Context, d *ingress.DeadLetters, f ingress.DeadFilter, limit int, take func(*ingress.DeadLetter) error) (n int, err error) {
	for l, err := range d.All(ctx, f) {
		if err == nil {
			err = take(l)
		}
		if err != nil {
			return n, err
		}
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

func listDeadLetters(ctx context.Context, t terminal, d *ingress.DeadLetters, f ingress.DeadFilter, limit int) error {
	rows := table{out: t.out}
	n, err := eachDeadLetter(ctx, d, f, limit, func(l *ingress.DeadLetter) error {
		if rows.widths == nil {
			rows.add("SEQ", "TIME", "SUBJECT", "REASON")
		}
		rows.add(strconv.FormatUint(l.Sequence, 10), l.Stored.UTC().Format(time.RFC3339), cell(l.Subject), cell(l.Reason))
		if len(rows.rows) < deadLetterPage {
			return nil
		}
		return rows.flush()
	})
	if flushed := rows.flush(); err == nil {
		err = flushed
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		_, err = fmt.Fprintln(t.out, "no dead letters")
	case n == limit:
		_, err = fmt.Fprintf(t.out, "the first %d; see more with --limit\n", limit)
	}
	return err
}

func listDeadLettersJSON(ctx context.Context, t terminal, d *ingress.DeadLetters, f ingress.DeadFilter, limit int) error {
	list := jsonList{out: t.out}
	if _, err := eachDeadLetter(ctx, d, f, limit, func(l *ingress.DeadLetter) error { return list.add(newDeadLetter(l, false)) }); err != nil {
		return err
	}
	if err := list.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out)
	return err
}
