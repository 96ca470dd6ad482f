package main

import (
	"context"
	"encoding/json"
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
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/follow"
	"github.com/orderly-engine/orderly/node/intake"
)

const (
	// maxSamples is the largest -n.
	maxSamples = 10_000_000
	// sampleChunk is how many sample orders are made at a time.
	sampleChunk = 10_000
)

func newPublish(t terminal) *cobra.Command {
	p := publishing{t: t}
	cmd := &cobra.Command{
		Use:   "publish [FILE…]",
		Short: "Publish orders from JSON files, standard input (-) or generated samples (-n)",
		Long: `Publish orders: JSON (one object, an array or JSON lines) from files or standard input (-), or N generated samples.

What is no order is reported with file and line, the rest is published, and the exit code is 1. An order that is
well-formed but wrong (no customer, a total that does not add up) is published: the engine rejects it, visibly.`,
		Example: "  orderly publish orders.json --wait\n  orderly publish -n 1000 --rate 100 --wait\n  cat orders.jsonl | orderly publish -",
	}
	cmd.Flags().IntVarP(&p.samples, "generate", "n", 0, "generate this many sample orders")
	cmd.Flags().Float64Var(&p.rate, "rate", 0, "orders per second; 0: as fast as they are stored")
	cmd.Flags().BoolVar(&p.wait, "wait", false, "wait until each order has ended; exit 1 if one has not")
	cmd.Flags().DurationVar(&p.timeout, "timeout", time.Minute, "longest wait")
	p.output = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case p.samples == 0 && len(args) == 0:
			return usage(errors.New(`nothing to publish: name files, "-" for standard input, or -n N; see "orderly publish --help"`))
		case p.samples < 0 || p.samples > maxSamples:
			return usage(fmt.Errorf("-n is %d: want 1–%d", p.samples, maxSamples))
		case p.rate < 0:
			return usage(fmt.Errorf("--rate is %g: want 0 or more", p.rate))
		case p.timeout <= 0:
			return usage(fmt.Errorf("--timeout is %s: want more than 0", p.timeout))
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
	watch     *follow.Watch
	limit     *rate.Limiter

	began                        time.Time
	stored, duplicates, unstored atomic.Int64
	unreadable                   int
}

// summary is what publish prints at the end; its JSON form is stable.
type summary struct {
	// Stored counts the orders that JetStream stored, Duplicates those it had stored before.
	Stored     int64 `json:"stored"`
	Duplicates int64 `json:"duplicates"`
	// Failed counts what was no order or could not be stored.
	Failed  int64          `json:"failed"`
	Ended   map[string]int `json:"ended,omitempty"`
	Open    int            `json:"open"`
	Seconds float64        `json:"seconds"`
}

func (p *publishing) run(ctx context.Context, files []string) error {
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
		if p.watch, err = follow.Start(ctx, c.js); err != nil {
			return err
		}
		defer p.watch.Stop()
	}
	p.limit = rate.NewLimiter(rate.Inf, 1)
	if p.rate > 0 {
		p.limit.SetLimit(rate.Limit(p.rate))
	}
	p.began = time.Now()
	stop := p.showProgress()
	err = p.publishAll(ctx, files)
	if flushErr := p.publisher.Flush(ctx); err == nil {
		err = flushErr
	}
	if err == nil && p.wait {
		err = p.await(ctx)
	}
	stop()
	if err != nil {
		return err
	}
	return p.conclude()
}

func (p *publishing) publishAll(ctx context.Context, files []string) error {
	for left, seed := p.samples, uint64(time.Now().UnixNano()); left > 0; left, seed = left-sampleChunk, seed+1 {
		for _, o := range demo.Samples(min(left, sampleChunk), seed) {
			if err := p.publish(ctx, o); err != nil {
				return err
			}
		}
	}
	for _, name := range files {
		if err := p.publishFile(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (p *publishing) publishFile(ctx context.Context, name string) error {
	in := p.t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
		defer f.Close()
		in = f
	}
	var failed error
	err := intake.Read(io.LimitReader(in, 1<<40), func(o intake.Order) bool {
		if o.Err == nil {
			_, o.Err = messages.ParseOrderID(o.Order.GetOrderId())
		}
		if o.Err != nil {
			p.unreadable++
			fmt.Fprintf(p.t.err, "%s:%d: not published: %v\n", name, o.Line, o.Err)
			return true
		}
		failed = p.publish(ctx, o.Order)
		return failed == nil
	})
	if err != nil {
		return fmt.Errorf("read orders from %s: %w", name, err)
	}
	return failed
}

func (p *publishing) publish(ctx context.Context, o *messages.OrderCreated) error {
	if err := p.limit.Wait(ctx); err != nil {
		return err
	}
	id := messages.OrderID(o.GetOrderId())
	if p.watch != nil {
		p.watch.Add(id)
	}
	err := p.publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: o}, func(r ingress.Receipt, err error) {
		switch {
		case err != nil:
			p.lost(id, err)
		case r.Duplicate:
			p.duplicates.Add(1)
		default:
			p.stored.Add(1)
		}
	})
	if err != nil && ctx.Err() == nil {
		p.lost(id, err)
		return nil
	}
	return err
}

// lost takes note of an order that was not stored. Only the first few are shown.
func (p *publishing) lost(id messages.OrderID, err error) {
	if p.watch != nil {
		p.watch.Forget(id)
	}
	if p.unstored.Add(1) <= 10 {
		fmt.Fprintf(p.t.err, "not stored: %v\n", err)
	}
}

func (p *publishing) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	err := p.watch.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // what is open is in the summary
	}
	return err
}

// showProgress writes a line a second on standard error until the returned function is called.
func (p *publishing) showProgress() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				line := fmt.Sprintf("%d stored", p.stored.Load())
				if p.watch != nil {
					ended, open := p.watch.Tally()
					line += fmt.Sprintf(", %d ended, %d open", total(ended), open)
				}
				fmt.Fprintln(p.t.err, line)
			}
		}
	}()
	return func() { close(quit); <-done }
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func (p *publishing) conclude() error {
	s := summary{
		Stored: p.stored.Load(), Duplicates: p.duplicates.Load(), Failed: p.unstored.Load() + int64(p.unreadable),
		Seconds: time.Since(p.began).Seconds(),
	}
	if p.watch != nil {
		s.Ended, s.Open = p.watch.Tally()
	}
	if *p.output == formatJSON {
		if err := json.NewEncoder(p.t.out).Encode(s); err != nil {
			return err
		}
	} else {
		s.write(p.t.out)
	}
	if s.Open > 0 {
		fmt.Fprintf(p.t.err, "orderly: %d orders have not ended within %s, for example %s\n", s.Open, p.timeout, p.watch.Open(1)[0])
	}
	if s.Failed > 0 || s.Open > 0 {
		return errSilent
	}
	return nil
}

func (s summary) write(w io.Writer) {
	fmt.Fprintf(w, "%d orders stored in %.1f s", s.Stored, s.Seconds)
	if s.Duplicates > 0 {
		fmt.Fprintf(w, ", %d were stored before", s.Duplicates)
	}
	if s.Failed > 0 {
		fmt.Fprintf(w, ", %d not published", s.Failed)
	}
	fmt.Fprintln(w)
	if s.Ended == nil {
		return
	}
	for _, status := range []string{"completed", "rejected", "cancelled"} {
		if n := s.Ended[status]; n > 0 {
			fmt.Fprintf(w, "  %-10s %d\n", status, n)
		}
	}
	if s.Open > 0 {
		fmt.Fprintf(w, "  %-10s %d\n", "open", s.Open)
	}
	fmt.Fprintf(w, "  %.0f orders/s\n", float64(total(s.Ended))/s.Seconds)
}
