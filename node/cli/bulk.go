package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/index"
)

const (
	// maxCauses is how many causes a preview tells.
	maxCauses = 10
	// progressEvery is how often it is told how far a long run is.
	progressEvery = 2 * time.Second
)

// aboutBulk is what a command's help says about --all.
const aboutBulk = `

With --all it goes to every order %s
whose reason contains --reason. Without --yes nothing is sent and the orders are counted by cause. The orders come from
the index of a node ("orderly list"). Sent again within two minutes, a message about an order that has not moved since is
recognized and not stored twice.`

// bulk is one run of a command for all orders of one cause.
type bulk struct {
	t terminal
	// verb is the command's name, statuses those in which it makes sense, body what it sends. It aims if that names the call
	// that needs a person.
	verb     string
	statuses []string
	body     func(target) proto.Message
	resolves bool

	all, yes bool
	status   []string
	reason   string
	older    time.Duration
	limit    int
	rate     float64
}

// newRetryAll, newSkipAll and newCancelAll are the commands about one order, with --all.
func newRetryAll(t terminal) *cobra.Command {
	return forAll(newRetry(t), &bulk{t: t, statuses: resting, body: func(target) proto.Message { return &messages.RetryOrder{} }})
}

func newSkipAll(t terminal) *cobra.Command {
	// A parked order has no failed call to pass over.
	return forAll(newSkip(t), &bulk{t: t, statuses: resting[:1], resolves: true, body: skipOf})
}

func skipOf(of target) proto.Message {
	return &messages.SkipStep{Step: of.step, Direction: of.direction}
}

func newCancelAll(t terminal) *cobra.Command {
	cmd := newCancel(t)
	why := cmd.Flags().String("why", "", "with --all: why, for the orders' timelines")
	return forAll(cmd, &bulk{t: t, statuses: resting, body: func(target) proto.Message { return &messages.CancelOrder{Reason: *why} }})
}

// resting are the statuses of orders that wait for somebody or something.
var resting = []string{index.Attention.String(), index.Parked.String()}

// ours are the flags that go with --all; lone those that go with one order.
var (
	ours = []string{"yes", "status", "older", "limit", "rate", "why"}
	lone = []string{"wait", "timeout", "output"}
)

// forAll lets a command about one order also go to all orders of one cause.
func forAll(cmd *cobra.Command, b *bulk) *cobra.Command {
	one, args := cmd.RunE, cmd.Args
	b.verb = cmd.Name()
	cmd.Use = b.verb + " ID | --all"
	cmd.Long += fmt.Sprintf(aboutBulk, b.chosen())
	examples := fmt.Sprintf("  orderly %s --all --reason \"card network\"\n  orderly %[1]s --all --reason \"card network\" --yes", b.verb)
	cmd.Example = strings.TrimLeft(cmd.Example+"\n"+examples, "\n")
	flags := cmd.Flags()
	flags.BoolVar(&b.all, "all", false, "all orders that --status, --reason and --older choose")
	flags.BoolVar(&b.yes, "yes", false, "with --all: send, in place of counting what would be sent")
	flags.StringSliceVar(&b.status, "status", b.statuses[:1], "with --all: "+strings.Join(b.statuses, " or "))
	flags.DurationVar(&b.older, "older", 0, "with --all: only orders that have been in that status for so long")
	flags.IntVar(&b.limit, "limit", 0, "with --all: how many at most; 0: all")
	flags.Float64Var(&b.rate, "rate", 500, "with --all: messages per second; 0: as fast as they are stored")
	own := flags.Lookup("reason")
	if own != nil {
		own.Usage += "; with --all: only orders whose reason contains this"
	} else {
		flags.String("reason", "", "with --all: only orders whose reason contains this")
	}
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if b.all {
			return nil
		}
		return args(cmd, given)
	}
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		changed := func(name string) bool { f := flags.Lookup(name); return f != nil && f.Changed }
		if !b.all {
			if i := slices.IndexFunc(ours, changed); i >= 0 {
				return usage(fmt.Errorf("--%s goes with --all", ours[i]))
			}
			if own == nil && changed("reason") {
				return usage(errors.New("--reason goes with --all"))
			}
			return one(cmd, given)
		}
		if i := slices.IndexFunc(lone, changed); i >= 0 {
			return usage(fmt.Errorf("--%s goes with one order, not with --all", lone[i]))
		}
		if b.yes && changed("dry-run") {
			return usage(errors.New("--dry-run sends nothing: leave out --yes"))
		}
		b.reason, _ = flags.GetString("reason") // it is there, one way or the other
		err := notEmpty(cmd, "reason")
		if err == nil {
			err = b.check(given)
		}
		if err != nil {
			return usage(err)
		}
		return withConnection(cmd.Context(), b.t, func(c *connection) error { return b.run(cmd.Context(), c) })
	}
	return cmd
}

// chosen says which orders the flag --status chooses.
func (b *bulk) chosen() string {
	words := "in " + b.statuses[0]
	for _, s := range b.statuses[1:] {
		words += fmt.Sprintf(", or with --status %s to every one %[1]s,", s)
	}
	return words
}

// check says what is wrong with the call.
func (b *bulk) check(given []string) error {
	if len(given) > 0 {
		return fmt.Errorf(`name an order or --all, not both; see "orderly %s --help"`, b.verb)
	}
	want := strings.Join(b.statuses, " or ")
	if len(b.status) == 0 { // to the index this means all
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

// checkRate says what is wrong with the flag --rate. NaN is not 0 or more either.
func checkRate(r float64) error {
	if !(r >= 0) {
		return fmt.Errorf("--rate is %g: want 0 or more", r)
	}
	return nil
}

func (b *bulk) query() index.Query {
	return index.Query{Status: b.status, Reason: b.reason, Older: index.Duration(b.older)}
}

// target is an order the message goes to.
type target struct {
	id       messages.OrderID
	sequence uint64
	// since is when it came to its status, for that reason.
	since  time.Time
	reason string
	// step and direction are those of the call that needs a person; aim finds them.
	step, direction string
}

// run finds the orders and, if told to, sends.
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
	caution(b.t, page)
	b.preview(targets)
	switch {
	case len(targets) == 0:
		return nil
	case !b.yes:
		_, err := fmt.Fprintf(b.t.out, "nothing is sent; add --yes to %s them\n", b.verb)
		return err
	}
	return b.send(ctx, c, targets)
}

// preview counts the orders by cause.
func (b *bulk) preview(targets []target) {
	causes := map[string]int{}
	for _, t := range targets {
		causes[t.reason]++
	}
	fmt.Fprintf(b.t.out, "%d orders to %s\n", len(targets), b.verb)
	names := slices.SortedFunc(maps.Keys(causes), func(x, y string) int {
		return cmp.Or(causes[y]-causes[x], strings.Compare(x, y))
	})
	for i, name := range names {
		if i == maxCauses {
			fmt.Fprintf(b.t.out, "  and %d other causes; see them with \"orderly list\"\n", len(names)-i)
			break
		}
		fmt.Fprintf(b.t.out, "%6d  %s\n", causes[name], cell(name))
	}
}

// sent counts what became of the messages.
type sent struct {
	mu                      sync.Mutex
	stored, repeated, moved int
	failed                  failures
}

func (s *sent) done(r ingress.PubAck, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, errMoved):
		s.moved++
	case err != nil:
		s.failed.add(err)
	case r.Duplicate:
		s.repeated++
	default:
		s.stored++
	}
}

// send publishes the message to each order, and tells how that goes.
func (b *bulk) send(ctx context.Context, c *connection, targets []target) error {
	p, err := ingress.NewPublisher(c.nc, ingress.PublisherConfig{})
	if err != nil {
		return err
	}
	defer p.Close()
	var orders *client.Reader
	if b.resolves {
		if orders, err = client.NewReader(c.nc); err != nil {
			return err
		}
		defer orders.Close()
	}
	limit := rate.NewLimiter(rate.Inf, 1)
	if b.rate > 0 {
		limit = rate.NewLimiter(rate.Limit(b.rate), max(1, int(b.rate/100)))
	}
	s := &sent{}
	told, begun := time.Now(), 0
	var stopped error
	for _, t := range targets {
		if limit.Wait(ctx) != nil {
			stopped = errInterrupted
			break
		}
		if err := b.sendTo(ctx, p, orders, t, s.done); err != nil {
			if ctx.Err() != nil {
				stopped = errInterrupted
				break
			}
			s.done(ingress.PubAck{}, err)
		}
		if begun++; time.Since(told) >= progressEvery {
			told = time.Now()
			fmt.Fprintf(b.t.err, "%d of %d sent\n", begun, len(targets))
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*ingress.DefaultAckTimeout)
	defer cancel()
	if err := p.Flush(flush); err != nil {
		stopped = errors.Join(stopped, err)
	}
	return b.summarize(s, len(targets), stopped)
}

// sendTo hands the message to one order over; done is called with what became of it, unless there is an error.
func (b *bulk) sendTo(ctx context.Context, p *ingress.Publisher, orders *client.Reader, t target, done func(ingress.PubAck, error)) error {
	if b.resolves {
		if err := t.resolveStep(ctx, orders); err != nil {
			return err
		}
	}
	// The sequence says which rest of the order is meant: once it has moved, another message is another word.
	return p.Publish(ctx, ingress.Outgoing{OrderID: t.id, Body: b.body(t), ID: fmt.Sprintf("all:%s:%s:%d", b.verb, t.id, t.sequence)}, done)
}

func (b *bulk) summarize(s *sent, all int, stopped error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(b.t.out, "%d of %d sent", s.stored, all)
	if s.repeated > 0 {
		fmt.Fprintf(b.t.out, ", %d had been sent before", s.repeated)
	}
	if s.moved > 0 {
		fmt.Fprintf(b.t.out, ", %d had moved on since they were listed", s.moved)
	}
	if left := all - s.stored - s.repeated - s.moved; left > 0 {
		fmt.Fprintf(b.t.out, ", %d not", left)
	}
	fmt.Fprintln(b.t.out)
	return errors.Join(append(s.failed.errors(), stopped)...)
}
