package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

func newDead(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show dead letters and send them back",
		Long:  "Dead letters are messages that could not be tied to an order: undecodable, wrong subject, too large, unknown order, other content under a known id.",
		Args:  arguments(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadList(t), newDeadShow(t), newDeadRedrive(t))
	return cmd
}

// letter is a dead letter in JSON.
type letter struct {
	Sequence uint64      `json:"sequence"`
	Time     time.Time   `json:"time"`
	OrderID  string      `json:"order_id,omitempty"`
	Reason   string      `json:"reason"`
	Subject  string      `json:"subject"`
	Stream   string      `json:"stream"`
	Source   uint64      `json:"source_sequence"`
	Headers  nats.Header `json:"headers,omitempty"`
	// Body is text, BodyBase64 what is no text; dead list leaves both out.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
}

func letterOf(d *ingress.DeadLetter, whole bool) letter {
	l := letter{
		Sequence: d.Sequence, Time: d.Stored, OrderID: string(d.OrderID), Reason: d.Reason,
		Subject: d.Subject, Stream: d.Stream, Source: d.Source,
	}
	if !whole {
		return l
	}
	l.Headers = d.Header
	if utf8.Valid(d.Body) {
		l.Body = string(d.Body)
	} else {
		l.BodyBase64 = d.Body
	}
	return l
}

// withDead runs f on the dead letters of the server.
func withDead(t terminal, f func(*ingress.DeadLetters) error) error {
	c, err := dial(t)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	d, err := ingress.NewDeadLetters(c.js)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(d)
}

// deadFilter adds the flags that choose dead letters.
func deadFilter(cmd *cobra.Command) func() (ingress.DeadFilter, error) {
	var order, reason string
	cmd.Flags().StringVar(&order, "order", "", "only those about this order")
	cmd.Flags().StringVar(&reason, "reason", "", "only those whose reason contains this")
	return func() (ingress.DeadFilter, error) {
		f := ingress.DeadFilter{Reason: reason}
		if order == "" {
			return f, nil
		}
		id, err := messages.ParseOrderID(order)
		f.OrderID = id
		return f, err
	}
}

func newDeadList(t terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List dead letters, oldest first", Args: arguments()}
	filter := deadFilter(cmd)
	limit := cmd.Flags().Int("limit", 100, "how many at most; 0: all")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := filter()
		if err != nil {
			return usage(err)
		}
		return withDead(t, func(d *ingress.DeadLetters) error {
			found, err := d.List(cmd.Context(), f, *limit)
			if err != nil {
				return err
			}
			letters := make([]letter, len(found))
			for i, l := range found {
				letters[i] = letterOf(l, false)
			}
			if *output == formatJSON {
				return json.NewEncoder(t.out).Encode(letters)
			}
			out := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "SEQ\tTIME\tSUBJECT\tREASON")
			for _, l := range letters {
				fmt.Fprintf(out, "%d\t%s\t%s\t%s\n", l.Sequence, l.Time.UTC().Format(time.RFC3339), l.Subject, l.Reason)
			}
			return out.Flush()
		})
	}
	return cmd
}

func newDeadShow(t terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "show SEQ", Short: "Show one dead letter with its headers and body", Args: arguments("SEQ")}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		return withDead(t, func(d *ingress.DeadLetters) error {
			found, err := d.Get(cmd.Context(), seqs[0])
			if err != nil {
				return err
			}
			l := letterOf(found, true)
			if *output == formatJSON {
				enc := json.NewEncoder(t.out)
				enc.SetIndent("", "  ")
				return enc.Encode(l)
			}
			out := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			fmt.Fprintf(out, "sequence\t%d\ntime\t%s\nreason\t%s\nsubject\t%s\nsource\t%s %d\n",
				l.Sequence, l.Time.UTC().Format(time.RFC3339Nano), l.Reason, l.Subject, l.Stream, l.Source)
			for name, values := range l.Headers {
				for _, v := range values {
					fmt.Fprintf(out, "header\t%s: %s\n", name, v)
				}
			}
			if err := out.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "\n%q\n", found.Body)
			return nil
		})
	}
	return cmd
}

func newDeadRedrive(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "redrive SEQ… | --all",
		Short:   "Send dead letters back to the inbox",
		Long:    "Send dead letters back to the inbox. Each is stored in the inbox before it is deleted here, so that a crash in between loses nothing.",
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
		return withDead(t, func(d *ingress.DeadLetters) error {
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
			fmt.Fprintf(t.out, "%d of %d sent back\n", len(seqs)-len(failed), len(seqs))
			return errors.Join(failed...)
		})
	}
	return cmd
}

func sequences(args []string) ([]uint64, error) {
	seqs := make([]uint64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || n == 0 {
			return nil, usage(fmt.Errorf("%q is no sequence: want a number from \"orderly dead list\"", arg))
		}
		seqs[i] = n
	}
	return seqs, nil
}
