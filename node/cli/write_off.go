package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit"
)

func newWriteOff(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "write-off SEQ[-SEQ]…",
		Short: "Accept messages as lost that \"orderly verify\" names",
		Long: `Record in the ledger that messages of the inbox are lost and that an operator knows it. "orderly verify" then counts them as
written off, and fails no more because of them. Publish their orders again first, if their publishers still have them.

Only messages that are lost can be written off. Without --yes nothing is recorded.`,
		Example: "  orderly write-off 3-12 17 --yes",
		Args:    cobra.ArbitraryArgs,
	}
	yes := cmd.Flags().Bool("yes", false, "record it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(errors.New("name the sequences that \"orderly verify\" lists as lost"))
		}
		var set ledger.Set
		for _, arg := range args {
			run, err := parseRun(arg)
			if err != nil {
				return usage(err)
			}
			set = set.Union(ledger.Range(run.First, run.Last))
		}
		return withConnection(cmd.Context(), t, func(c *connection) error { return writeOff(cmd.Context(), t, c, set, *yes) })
	}
	return cmd
}

func writeOff(ctx context.Context, t terminal, c *connection, set ledger.Set, yes bool) error {
	report, err := audit.Read(ctx, c.js)
	if err != nil {
		return err
	}
	if others := set.Without(report.Lost); len(others) > 0 {
		return fmt.Errorf("message %d of %s is not lost: see \"orderly verify\"", others[0].First, messages.StreamOrders)
	}
	if !yes {
		_, err := fmt.Fprintf(t.out, "%s to write off\nnothing is recorded; add --yes to write them off\n", count(int64(set.Len()), "lost message"))
		return err
	}
	log := slog.New(slog.NewTextHandler(t.err, nil))
	if err := ledger.New(c.js, log).Append(ctx, messages.LedgerKind_LEDGER_KIND_WRITTEN_OFF, set); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s written off\n", count(int64(set.Len()), "lost message"))
	return err
}

// parseRun reads a sequence, or two with a dash between them.
func parseRun(text string) (ledger.Run, error) {
	first, last, isRun := strings.Cut(text, "-")
	if !isRun {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 64)
	to, err2 := strconv.ParseUint(last, 10, 64)
	if err != nil || err2 != nil || from == 0 || to < from {
		return ledger.Run{}, fmt.Errorf("%q is no sequence and no run of sequences: want for example 17 or 3-12", text)
	}
	return ledger.Run{First: from, Last: to}, nil
}
