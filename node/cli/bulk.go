package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
)

// maxCauses is the number of causes that a preview prints.
const maxCauses = 10

// bulkHelp is the help of --all.
const bulkHelp = `

With --all the message goes to every order %s
whose reason contains --reason. Without --yes nothing is sent and the orders are counted by cause. The orders come from
the index of a node ("orderly list"). If the command is repeated within two minutes, orders that have not changed since get
no second message.`

// bulk is one run of a command with --all.
type bulk struct {
	t terminal
	// name of the command, statuses of the orders it applies to, and the message it sends.
	name     string
	statuses []string
	message  func(target) proto.Message
	// resolves: the message names the call that needs attention, which is read from each order.
	resolves bool

	all, yes bool
	status   []string
	reason   string
	older    time.Duration
	limit    int
	rate     float64
}

// waitingStatuses are the statuses of orders that wait for an operator, a signal or a timer.
var waitingStatuses = []string{index.Attention.String(), index.Parked.String()}

func newRetryAll(t terminal) *cobra.Command {
	return withAll(newRetry(t), &bulk{t: t, statuses: waitingStatuses, message: func(target) proto.Message { return &messages.RetryOrder{} }})
}

func newSkipAll(t terminal) *cobra.Command {
	return withAll(newSkip(t), &bulk{
		t: t, statuses: []string{index.Attention.String()}, resolves: true,
		message: func(to target) proto.Message { return &messages.SkipStep{Step: to.step, Direction: to.direction} },
	})
}

func newCancelAll(t terminal) *cobra.Command {
	cmd := newCancel(t)
	why := cmd.Flags().String("why", "", "with --all: reason, recorded with the orders")
	return withAll(cmd, &bulk{t: t, statuses: waitingStatuses, message: func(target) proto.Message { return &messages.CancelOrder{Reason: *why} }})
}

// onlyWithAll are the flags that need --all, neverWithAll those that exclude it.
var (
	onlyWithAll  = []string{"yes", "status", "older", "limit", "rate", "why"}
	neverWithAll = []string{"wait", "timeout", "output"}
)

// withAll adds --all to a command about one order.
func withAll(cmd *cobra.Command, b *bulk) *cobra.Command {
	runOne, checkArgs := cmd.RunE, cmd.Args
	b.name = cmd.Name()
	cmd.Use = b.name + " ID | --all"
	cmd.Long += fmt.Sprintf(bulkHelp, b.selection())
	examples := fmt.Sprintf("  orderly %s --all --reason \"card network\"\n  orderly %[1]s --all --reason \"card network\" --yes", b.name)
	cmd.Example = strings.TrimLeft(cmd.Example+"\n"+examples, "\n")
	flags := cmd.Flags()
	flags.BoolVar(&b.all, "all", false, "all orders that --status, --reason and --older select")
	flags.BoolVar(&b.yes, "yes", false, "with --all: send, instead of counting")
	flags.StringSliceVar(&b.status, "status", b.statuses[:1], "with --all: "+strings.Join(b.statuses, " or "))
	flags.DurationVar(&b.older, "older", 0, "with --all: only orders that have been in that status for at least this long")
	flags.IntVar(&b.limit, "limit", 0, "with --all: maximum number of orders; 0: all")
	flags.Float64Var(&b.rate, "rate", 500, "with --all: messages per second; 0: unlimited")
	ownReason := flags.Lookup("reason")
	if ownReason != nil {
		ownReason.Usage += "; with --all: only orders whose reason contains this; … stands for any text"
	} else {
		flags.String("reason", "", "with --all: only orders whose reason contains this; … stands for any text")
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if b.all {
			return nil
		}
		return checkArgs(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changed := func(name string) bool { f := flags.Lookup(name); return f != nil && f.Changed }
		if !b.all {
			if i := slices.IndexFunc(onlyWithAll, changed); i >= 0 {
				return usage(fmt.Errorf("--%s goes with --all", onlyWithAll[i]))
			}
			if ownReason == nil && changed("reason") {
				return usage(errors.New("--reason goes with --all"))
			}
			return runOne(cmd, args)
		}
		if i := slices.IndexFunc(neverWithAll, changed); i >= 0 {
			return usage(fmt.Errorf("--%s goes with one order, not with --all", neverWithAll[i]))
		}
		if b.yes && changed("dry-run") {
			return usage(errors.New("--dry-run sends nothing: leave out --yes"))
		}
		b.reason, _ = flags.GetString("reason") // exists in either case
		err := notEmpty(cmd, "reason")
		if err == nil {
			err = b.check(args)
		}
		if err != nil {
			return usage(err)
		}
		return withConnection(cmd.Context(), b.t, func(c *connection) error { return b.run(cmd.Context(), c) })
	}
	return cmd
}

// selection describes the orders that --status selects.
func (b *bulk) selection() string {
	words := "in " + b.statuses[0]
	for _, s := range b.statuses[1:] {
		words += fmt.Sprintf(", or with --status %s to every one %[1]s,", s)
	}
	return words
}

// check checks arguments and flags.
func (b *bulk) check(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf(`name an order or --all, not both; see "orderly %s --help"`, b.name)
	}
	want := strings.Join(b.statuses, " or ")
	if len(b.status) == 0 { // the index would return all
		return fmt.Errorf("--status is empty: want %s", want)
	}
	for _, s := range b.status {
		if !slices.Contains(b.statuses, s) {
			return fmt.Errorf("--status is %q: want %s", s, want)
		}
	}
	if err := checkLimit(b.limit); err != nil {
		return err
	}
	if err := checkRate(b.rate); err != nil {
		return err
	}
	return checkQuery(b.query())
}

func (b *bulk) query() index.Query {
	return index.Query{Status: b.status, Reason: b.reason, Older: index.Duration(b.older)}
}

// run finds the orders, counts them by cause, and with --yes sends the messages.
func (b *bulk) run(ctx context.Context, c *connection) error {
	var targets []target
	page, err := c.pages(ctx, b.query(), b.limit, func(p *index.Page) error {
		for _, o := range p.Orders {
			id, err := messages.ParseOrderID(o.OrderID)
			if err != nil {
				return err
			}
			targets = append(targets, target{id: id, sequence: o.Sequence, since: o.StatusSince, reason: o.Reason})
		}
		return nil
	})
	if err != nil {
		return err
	}
	warnStale(b.t, page)
	b.preview(targets)
	switch {
	case len(targets) == 0:
		return nil
	case !b.yes:
		_, err := fmt.Fprintf(b.t.out, "nothing is sent; add --yes to %s them\n", b.name)
		return err
	}
	return b.send(ctx, c, targets)
}

// preview counts the orders by cause. The causes are not cut, so that they can be copied to --reason.
func (b *bulk) preview(targets []target) {
	var causes causeGroups
	for _, t := range targets {
		causes.add(string(t.id), t.reason, t.since)
	}
	fmt.Fprintf(b.t.out, "%d orders to %s\n", len(targets), b.name)
	groups, others := causes.top(maxCauses)
	for _, g := range groups {
		fmt.Fprintf(b.t.out, "%6d  %s\n", g.Orders, causeText(g.Cause))
	}
	if others > 0 {
		fmt.Fprintf(b.t.out, "%6d  with other causes; see them with \"orderly list --by cause\"\n", others)
	}
}
