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
	// atOnce is how many orders a person decides about before looking at the list again.
	atOnce = 40
	// bulkLimit bounds a command for all orders of one cause.
	bulkLimit = 10 * time.Second
)

// person decides about the orders in attention, until stopped: retry, skip or cancel, each sent twice, as by somebody
// who is not sure; and now and then all of one cause by the command for that.
type person struct {
	w      *world
	rng    *rand.Rand
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu sync.Mutex
	// sent counts the messages by what they say, cancels the orders that one went to, or may have gone to.
	sent    map[messages.Type]int
	cancels map[messages.OrderID]bool
	// told is what was decided last about each order.
	told map[messages.OrderID]ruling
	bulk int
}

// decide lets somebody decide from now on.
func (w *world) decide(seed uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &person{
		w: w, rng: rand.New(rand.NewPCG(seed, 1)), ctx: ctx, cancel: cancel,
		sent: map[messages.Type]int{}, cancels: map[messages.OrderID]bool{}, told: map[messages.OrderID]ruling{},
	}
	w.person = p
	w.Cleanup(p.stop)
	p.work.Go(func() {
		for ctx.Err() == nil {
			if p.bulk == 0 || p.rng.IntN(12) == 0 {
				p.decideForAll()
			} else {
				p.decideForSome()
			}
			w.load.rest(50 * time.Millisecond)
		}
	})
}

func (p *person) stop() {
	p.cancel()
	p.work.Wait()
}

// idle reports whether no order is left to decide about. It asks the streams: the list may be behind.
func (p *person) idle() bool {
	report, err := audit.Read(p.w.Context(), p.w.js)
	return err == nil && report.Orders.Attention+report.Orders.Parked+report.Orders.InFlight == 0
}

// ruling is one decision: at which of the order's entries, and what.
type ruling struct {
	sequence uint64
	what     messages.Type
}

// rulings are what the person decides, in turn.
var rulings = []messages.Type{
	messages.TypeRetry, messages.TypeSkip, messages.TypeRetry, messages.TypeCancel, messages.TypeRetry,
	messages.TypeSkip, messages.TypeRetry, messages.TypeRetry,
}

// decideForSome goes through the head of the list. A node that dies meanwhile is asked again later.
func (p *person) decideForSome() {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	page, err := index.Ask(ctx, p.w.nc, index.Query{Status: []string{index.Attention.String()}, Limit: index.MaxLimit})
	if err != nil {
		return
	}
	var decided []messages.OrderID
	for _, o := range page.Orders {
		id := messages.OrderID(o.OrderID)
		last := p.told[id]
		if last.sequence == o.Sequence || len(decided) == atOnce {
			continue
		}
		what := rulings[len(p.told)%len(rulings)]
		if last.what == messages.TypeSkip {
			what = messages.TypeCancel
		}
		p.told[id] = ruling{o.Sequence, what}
		decided = append(decided, id)
		p.tell(id, what)
	}
	// By now orders go on, wait for something else, or are here again.
	p.w.load.rest(time.Duration(p.rng.Int64N(int64(100 * time.Millisecond))))
	for _, id := range decided {
		p.tell(id, p.told[id].what)
	}
}

func (p *person) tell(id messages.OrderID, what messages.Type) {
	m := func() *nats.Msg {
		m := nats.NewMsg(messages.SubjectOrder + string(id))
		m.Header.Set(messages.HeaderType, string(what))
		return m
	}
	p.w.load.send(m, func() { p.note(id, what) })
}

func (p *person) note(id messages.OrderID, what messages.Type) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[what]++
	if what == messages.TypeCancel {
		p.cancels[id] = true
	}
}

// cancelled reports whether the person may have cancelled the order.
func (p *person) cancelled(id messages.OrderID) bool {
	return p != nil && p.cancels[id]
}

// decideForAll runs the command, as a person does; it may fail with the node that answers it.
func (p *person) decideForAll() {
	ctx, cancel := context.WithTimeout(p.ctx, bulkLimit)
	defer cancel()
	verb := "retry"
	if p.rng.IntN(3) == 0 {
		verb = "skip"
	}
	c := exec.CommandContext(ctx, victim, verb, "--all", "--reason", "asked to", "--limit", "100", "--rate", "0", "--yes")
	c.Env = []string{"NATS_URL=" + p.w.url, "HOME=" + p.w.dir}
	if out, err := c.CombinedOutput(); err == nil {
		p.bulk++
	} else if c.ProcessState.ExitCode() != 1 && ctx.Err() == nil {
		p.w.Errorf("%s: %v\n%s", c, err, out)
	}
}

func (p *person) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("a person sent %v one by one and ran %d commands for all", p.sent, p.bulk)
}
