package cli

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newDeadShow(t terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "show SEQ", Short: "Show one dead letter with its headers and body", Args: arguments("SEQ")}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		return withDeadLetters(cmd.Context(), t, func(d *ingress.DeadLetters) error {
			found, err := d.Get(cmd.Context(), seqs[0])
			if err != nil {
				return err
			}
			l := newDeadLetter(found, true)
			if *output == formatJSON {
				return writeJSON(t.out, l)
			}
			return showDeadLetter(t, found)
		})
	}
	return cmd
}

// maxShownBody bounds the part of a body in the text output, in bytes.
const maxShownBody = 4 << 10

func showDeadLetter(t terminal, d *ingress.DeadLetter) error {
	out := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	field := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%s\t%s\n", name, timeline.Printable(fmt.Sprintf(format, args...)))
	}
	field("sequence", "%d", d.Sequence)
	field("time", "%s", d.Stored.UTC().Format(time.RFC3339Nano))
	field("reason", "%s", d.Reason)
	field("subject", "%s", d.Subject)
	field("source", "message %d of stream %s", d.Source, d.Stream)
	for _, name := range slices.Sorted(maps.Keys(d.Header)) {
		for _, v := range d.Header[name] {
			field("header", "%s: %s", name, v)
		}
	}
	field("body", "%d bytes", len(d.Body))
	if err := out.Flush(); err != nil {
		return err
	}
	return showBody(t, d.Body)
}

// showBody prints UTF-8 as text and any other body in hexadecimal.
func showBody(t terminal, body []byte) error {
	shown := body[:min(len(body), maxShownBody)]
	switch text := strings.ToValidUTF8(string(shown), ""); {
	case len(body) == 0:
		return nil
	case utf8.Valid(body):
		fmt.Fprintln(t.out)
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			fmt.Fprintln(t.out, timeline.Printable(line))
		}
	default:
		fmt.Fprintf(t.out, "\n%s", hex.Dump(shown))
	}
	if more := len(body) - len(shown); more > 0 {
		fmt.Fprintf(t.out, "… and %d bytes more; -o json shows all\n", more)
	}
	return nil
}
