package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// bulkProgressInterval is how often a long run prints its progress.
const bulkProgressInterval = 2 * time.Second

// target is an order that gets the message.
type target struct {
	id       messages.OrderID
	sequence uint64
	// since is when it entered its status, for that reason.
	since  time.Time
	reason string
	// step and direction of the call that needs attention, set by resolveStep.
	step, direction string
}

// errChanged: the order no longer needs attention for the reason with which it was listed.
var errChanged = errors.New("it has changed since it was listed")

// resolveStep reads from the order which call needs attention: the index does not have it. The error is errChanged if the
// status is not the one that was listed.
func (t *target) resolveStep(ctx context.Context, c *client.Client) error {
	view, err := c.Order(ctx, string(t.id))
	if err != nil && !errors.Is(err, client.ErrUnknownOrder) {
		return err
	}
	if err == nil && view.StatusSince.Equal(t.since) {
		var needed bool
		if t.step, t.direction, needed = view.NeedsAttention(); needed {
			return nil
		}
	}
	return errChanged
}

// sendResult counts the results of the messages.
type sendResult struct {
	mu                          sync.Mutex
	stored, duplicates, changed int
	failed                      errorList
}

func (r *sendResult) add(ack ingress.PubAck, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, errChanged):
		r.changed++
	case err != nil:
		r.failed.add(err)
	case ack.Duplicate:
		r.duplicates++
	default:
		r.stored++
	}
}

// send publishes the message to each order and prints the results.
func (b *bulk) send(ctx context.Context, c *connection, targets []target) error {
	p, err := ingress.NewPublisher(c.nc, ingress.PublisherConfig{})
	if err != nil {
		return err
	}
	defer p.Close()
	orders, err := client.NewOn(c.js)
	if err != nil {
		return err
	}
	defer orders.Close()
	limit := rate.NewLimiter(rate.Inf, 1)
	if b.rate > 0 {
		limit = rate.NewLimiter(rate.Limit(b.rate), max(1, int(b.rate/100)))
	}
	r := &sendResult{}
	printed, sent := time.Now(), 0
	var stopped error
	for _, t := range targets {
		if limit.Wait(ctx) != nil {
			stopped = errInterrupted
			break
		}
		if err := b.sendTo(ctx, p, orders, t, r.add); err != nil {
			if ctx.Err() != nil {
				stopped = errInterrupted
				break
			}
			r.add(ingress.PubAck{}, err)
		}
		if sent++; time.Since(printed) >= bulkProgressInterval {
			printed = time.Now()
			fmt.Fprintf(b.t.err, "%d of %d sent\n", sent, len(targets))
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*ingress.DefaultAckTimeout)
	defer cancel()
	if err := p.Flush(flush); err != nil {
		stopped = errors.Join(stopped, err)
	}
	return b.printResult(r, len(targets), stopped)
}

// sendTo publishes the message to one order; unless it returns an error, done is called with the result.
func (b *bulk) sendTo(ctx context.Context, p *ingress.Publisher, orders *client.Client, t target, done func(ingress.PubAck, error)) error {
	if b.resolves {
		if err := t.resolveStep(ctx, orders); err != nil {
			return err
		}
	}
	// The id contains the sequence: after the order has changed, another message is not a duplicate.
	return p.Publish(ctx, ingress.Outgoing{OrderID: t.id, Body: b.message(t), ID: fmt.Sprintf("all:%s:%s:%d", b.name, t.id, t.sequence)}, done)
}

func (b *bulk) printResult(r *sendResult, all int, stopped error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(b.t.out, "%d of %d sent", r.stored, all)
	if r.duplicates > 0 {
		fmt.Fprintf(b.t.out, ", %d had been sent before", r.duplicates)
	}
	if r.changed > 0 {
		fmt.Fprintf(b.t.out, ", %d had changed since they were listed", r.changed)
	}
	if left := all - r.stored - r.duplicates - r.changed; left > 0 {
		fmt.Fprintf(b.t.out, ", %d not", left)
	}
	fmt.Fprintln(b.t.out)
	return errors.Join(append(r.failed.errors(), stopped)...)
}
