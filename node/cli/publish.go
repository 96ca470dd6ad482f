package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/cli/orderjson"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

const (
	// maxSamples is the largest -n.
	maxSamples = 10_000_000
	// sampleChunk is the number of sample orders generated at a time.
	sampleChunk = 10_000
	// maxReported is the number of errors that are printed one by one.
	maxReported = 20
)

func newPublish(t terminal) *cobra.Command {
	p := publishing{t: t}
	cmd := &cobra.Command{
		Use:   "publish [FILE…]",
		Short: "Publish orders from JSON files, standard input (-) or generated samples (-n)",
		Long: `Publish orders: JSON (one object, an array or JSON lines) from files or standard input (-), or N generated samples.

Invalid input is reported with file and line, the other orders are published, and the exit code is 1. An order that is
well-formed but invalid (no customer, a wrong total) is published: the engine rejects it, and "orderly get" shows why. An order
whose id was published before is stored again: the same order has no effect, another one becomes a dead letter.

The demo services refuse one in ten of the generated samples by its content. Besides, they refuse ORDERLY_DEMO_REJECT_RATE of
the calls of each of the four steps: with the default of 0.02, 17 in 100 samples are rejected in all.`,
		Example: "  orderly publish orders.json --wait\n  orderly publish -n 1000 --rate 100 --wait\n  cat orders.jsonl | orderly publish -",
	}
	cmd.Flags().IntVarP(&p.samples, "generate", "n", 0, "generate this many sample orders")
	cmd.Flags().Float64Var(&p.rate, "rate", 0, "orders per second; 0: unlimited")
	cmd.Flags().BoolVar(&p.wait, "wait", false, "wait until every order has ended; exit 1 if one has not")
	cmd.Flags().DurationVar(&p.timeout, "timeout", time.Minute, "longest wait after the last order is stored")
	p.output = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case p.samples == 0 && len(args) == 0:
			return usage(errors.New(`nothing to publish: name files, "-" for standard input, or -n N; see "orderly publish --help"`))
		case p.samples < 0 || p.samples > maxSamples:
			return usage(fmt.Errorf("-n is %d: want 1–%d", p.samples, maxSamples))
		}
		if err := cmp.Or(checkTimeout(p.timeout), checkRate(p.rate)); err != nil {
			return usage(err)
		}
		return p.run(cmd.Context(), args)
	}
	return cmd
}

// publishing is one run of publish.
type publishing struct {
	t       terminal
	samples int
	rate    float64
	wait    bool
	timeout time.Duration
	output  *format

	publisher *ingress.Publisher
	watch     *client.Watch
	limit     *rate.Limiter

	began                        time.Time
	stored, duplicates, unstored atomic.Int64
	reported                     atomic.Int64
	invalid                      int
}

// source is an open input.
type source struct {
	name string
	io.Reader
}

// openAll opens every file before anything is published. Call closeAll after use.
func (p *publishing) openAll(names []string) (sources []source, closeAll func(), err error) {
	var files []*os.File
	closeAll = func() {
		for _, f := range files {
			_ = f.Close() // read only
		}
	}
	for _, name := range names {
		if name == "-" {
			sources = append(sources, source{"standard input", p.t.in})
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("nothing published: %w", err)
		}
		files = append(files, f)
		if about, err := f.Stat(); err == nil && about.IsDir() {
			closeAll()
			return nil, nil, fmt.Errorf("nothing published: %s is a directory: name the files in it", name)
		}
		sources = append(sources, source{name, f})
	}
	return sources, closeAll, nil
}

func (p *publishing) run(ctx context.Context, files []string) error {
	sources, closeAll, err := p.openAll(files)
	if err != nil {
		return err
	}
	defer closeAll()
	c, err := dial(p.t)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	if p.publisher, err = ingress.NewPublisher(c.nc, ingress.PublisherConfig{Batch: true}); err != nil {
		return err
	}
	defer p.publisher.Close()
	if p.wait {
		if p.watch, err = client.StartWatch(ctx, c.js); err != nil {
			return c.explain(ctx, err)
		}
		defer p.watch.Stop()
	}
	p.limit = rate.NewLimiter(rate.Inf, 1)
	if p.rate > 0 {
		p.limit.SetLimit(rate.Limit(p.rate))
	}
	p.began = time.Now()
	stop := p.showProgress()
	err = p.publishAll(ctx, sources)
	if flushErr := p.publisher.Flush(ctx); err == nil {
		err = flushErr
	}
	if err == nil && p.wait {
		err = p.await(ctx)
	}
	interrupted := ctx.Err() != nil
	if interrupted {
		p.awaitAcks(ctx)
	}
	stop()
	switch {
	case interrupted:
		return errors.Join(writeResult(p.t.out, *p.output, p.summary()), errInterrupted)
	case err != nil:
		return err
	}
	return p.conclude()
}

// awaitAcks waits after an interruption for the acknowledgements of what was sent, so that the summary is right.
func (p *publishing) awaitAcks(ctx context.Context) {
	// A message may be sent in a batch, then alone, then once more without its id.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*ingress.DefaultAckTimeout)
	defer cancel()
	if err := p.publisher.Flush(ctx); err != nil {
		p.report("orderly: %v", err)
	}
}

func (p *publishing) publishAll(ctx context.Context, sources []source) error {
	for left, seed := p.samples, uint64(time.Now().UnixNano()); left > 0; left, seed = left-sampleChunk, seed+1 {
		for _, o := range demo.Samples(min(left, sampleChunk), seed) {
			if err := p.publish(ctx, o); err != nil {
				return err
			}
		}
	}
	for _, in := range sources {
		if err := p.publishFrom(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (p *publishing) publishFrom(ctx context.Context, in source) error {
	var failed error
	take := func(o orderjson.Order) bool {
		if o.Err == nil {
			_, o.Err = messages.ParseOrderID(o.Order.GetOrderId())
		}
		if o.Err != nil {
			p.invalid++
			p.report("%s:%d: not published: %v", in.name, o.Line, o.Err)
			return true
		}
		failed = p.publish(ctx, o.Order)
		return failed == nil
	}
	err := readWhile(ctx, in, func(r io.Reader) error { return orderjson.Read(r, take) })
	if err != nil {
		return fmt.Errorf("read orders from %s: %w", in.name, err)
	}
	return failed
}

// report prints one error, up to maxReported.
func (p *publishing) report(format string, args ...any) {
	switch n := p.reported.Add(1); {
	case n <= maxReported:
		fmt.Fprintln(p.t.err, timeline.Printable(fmt.Sprintf(format, args...)))
	case n == maxReported+1:
		fmt.Fprintln(p.t.err, "… and more errors, which the summary counts")
	}
}

func (p *publishing) publish(ctx context.Context, o *messages.OrderCreated) error {
	if err := p.limit.Wait(ctx); err != nil {
		return err
	}
	id := messages.OrderID(o.GetOrderId())
	if p.watch != nil {
		p.watch.Add(id)
	}
	err := p.publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: o}, func(r ingress.PubAck, err error) {
		switch {
		case err != nil:
			p.failed(id, err)
		case r.Duplicate:
			p.duplicates.Add(1)
		default:
			p.stored.Add(1)
		}
	})
	switch {
	case err != nil && ctx.Err() == nil:
		p.failed(id, err)
		return nil
	case err != nil && p.watch != nil:
		p.watch.Forget(id) // it was not sent
	}
	return err
}

// failed records an order that is not stored, or may not be.
func (p *publishing) failed(id messages.OrderID, err error) {
	if p.watch != nil {
		p.watch.Forget(id)
	}
	p.unstored.Add(1)
	p.report("%v", err)
}

func (p *publishing) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	switch err := p.watch.Wait(ctx); {
	case err == nil, err == context.DeadlineExceeded: //nolint:errorlint // bare: the summary has the open orders; wrapped: it says why
	case errors.Is(err, context.DeadlineExceeded):
		p.report("orderly: %v", err)
	default:
		return err
	}
	return nil
}
