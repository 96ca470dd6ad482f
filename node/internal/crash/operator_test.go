package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/orderly-engine/orderly/node/server/index"
)

const (
	// batch is how many orders the operator decides about before asking for the list again.
	batch = 40
	// bulkLimit bounds a command for all orders of one cause.
	bulkLimit = 10 * time.Second
)

// operator decides about the orders in attention until stopped: by retry, skip or cancel, each sent twice, and now and then
// by a command for all orders.
type operator struct {
	w      *testEnv
	rng    *rand.Rand
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu sync.Mutex
	// sent counts the messages, cancels has the orders that a cancel may have been stored for.
	sent    map[messages.Type]int
	cancels map[messages.OrderID]bool
	// last is the latest decision about each order.
	last map[messages.OrderID]decision
	bulk int
}

// decision is what was sent about an order, and at which of its entries.
type decision struct {
	sequence uint64
	sent     messages.Type
}

// decisions are made in turn.
var decisions = []messages.Type{
	messages.TypeRetry, messages.TypeSkip, messages.TypeRetry, messages.TypeCancel, messages.TypeRetry,
	messages.TypeSkip, messages.TypeRetry, messages.TypeRetry,
}

// operate starts the operator.
func (w *testEnv) operate(seed uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &operator{
		w: w, rng: rand.New(rand.NewPCG(seed, 1)), ctx: ctx, cancel: cancel,
		sent: map[messages.Type]int{}, cancels: map[messages.OrderID]bool{}, last: map[messages.OrderID]decision{},
	}
	w.operator = o
	w.Cleanup(o.stop)
	o.work.Go(func() {
		for ctx.Err() == nil {
			if o.bulk == 0 || o.rng.IntN(12) == 0 {
				o.decideAll()
			} else {
				o.decideSome()
			}
			w.load.sleep(50 * time.Millisecond)
		}
	})
}

func (o *operator) stop() {
	o.cancel()
	o.work.Wait()
}

// idle reports whether every order has ended. It reads the streams, because the index can lag.
func (o *operator) idle() bool {
	report, err := audit.Read(o.w.Context(), o.w.js)
	return err == nil && report.Orders.Attention+report.Orders.Parked+report.Orders.InFlight == 0
}

// decideSome decides about the first orders in the index; it returns if the node dies.
func (o *operator) decideSome() {
	ctx, cancel := context.WithTimeout(o.ctx, publishTimeout)
	defer cancel()
	page, err := index.Ask(ctx, o.w.nc, index.Query{Status: []string{index.Attention.String()}, Limit: index.MaxLimit})
	if err != nil {
		return
	}
	var decided []messages.OrderID
	for _, listed := range page.Orders {
		id := messages.OrderID(listed.OrderID)
		last := o.last[id]
		if last.sequence == listed.Sequence || len(decided) == batch {
			continue
		}
		next := decisions[len(o.last)%len(decisions)]
		if last.sent == messages.TypeSkip {
			next = messages.TypeCancel
		}
		o.last[id] = decision{listed.Sequence, next}
		decided = append(decided, id)
		o.send(id, next)
	}
	// Between the two reads, orders continue, wait for something else, or are in attention again.
	o.w.load.sleep(time.Duration(o.rng.Int64N(int64(100 * time.Millisecond))))
	for _, id := range decided {
		o.send(id, o.last[id].sent)
	}
}

func (o *operator) send(id messages.OrderID, t messages.Type) {
	o.w.load.send(func() *nats.Msg { return orderMsg(id, t, "") }, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sent[t]++
		if t == messages.TypeCancel {
			o.cancels[id] = true
		}
	})
}

// cancelled reports whether the operator may have cancelled the order.
func (o *operator) cancelled(id messages.OrderID) bool { return o != nil && o.cancels[id] }

// decideAll runs the command for all orders; it may fail with the node that answers it.
func (o *operator) decideAll() {
	ctx, cancel := context.WithTimeout(o.ctx, bulkLimit)
	defer cancel()
	verb := "retry"
	if o.rng.IntN(3) == 0 {
		verb = "skip"
	}
	c := exec.CommandContext(ctx, binary, verb, "--all", "--reason", "asked to", "--limit", "100", "--rate", "0", "--yes")
	c.Env = []string{"NATS_URL=" + o.w.url, "HOME=" + o.w.dir}
	if out, err := c.CombinedOutput(); err == nil {
		o.bulk++
	} else if c.ProcessState.ExitCode() != 1 && ctx.Err() == nil {
		o.w.Errorf("%s: %v\n%s", c, err, out)
	}
}

func (o *operator) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("the operator sent %v one by one and ran %d commands for all orders", o.sent, o.bulk)
}
