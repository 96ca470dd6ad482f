package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine"
)

// ParkedReport is the result of a measurement of parked orders.
type ParkedReport struct {
	Date   time.Time      `json:"date"`
	CPUs   int            `json:"cpus"`
	Go     string         `json:"go"`
	System string         `json:"system"`
	Orders int            `json:"orders"`
	Window time.Duration  `json:"window_ns"`
	Rate   int            `json:"rate"`
	Modes  []ParkedResult `json:"modes"`
}

// ParkedResult is that of one durability. The CPU is that of the whole process, server and publisher included.
type ParkedResult struct {
	Mode Mode `json:"mode"`
	// Parking is from the first publish until all orders are parked.
	Parking Stage `json:"parking"`
	// Waking is from the first due timer until all orders have ended.
	Waking Stage `json:"waking"`

	// EngineBytes is the live heap per parked order that the node which parked them uses beyond a node that was just started;
	// ServerBytes is that which the server uses beyond an empty one.
	EngineBytes int64 `json:"engine_bytes_per_order"`
	ServerBytes int64 `json:"server_bytes_per_order"`
	// PeakBytes is the largest heap while the orders woke.
	PeakBytes uint64 `json:"peak_bytes"`
	// EmptyCPU and IdleCPU are the share of one processor used without orders, and while all are parked.
	EmptyCPU float64 `json:"empty_cpu"`
	IdleCPU  float64 `json:"idle_cpu"`

	Wakes Wakes `json:"wakes"`
	// Others is the latency of other orders, published while the parked ones woke.
	Others Latency `json:"others"`
	// OthersCount is their number.
	OthersCount int `json:"others_count"`
}

// ErrTooSlow is wrapped by the error of RunParked when the first timer was due before all orders were parked and the idle node
// was measured: set Ahead longer.
var ErrTooSlow = errors.New("the machine is too slow for the time ahead")

// Stage is the duration and CPU time of a part of the measurement.
type Stage struct {
	Took        time.Duration `json:"took_ns"`
	CPUPerOrder time.Duration `json:"cpu_per_order_ns"`
}

// RunParked measures. It starts its own servers and removes them. It fails if an order wakes early, twice, or not at all.
func RunParked(ctx context.Context, cfg ParkedConfig) (*ParkedReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	cfg = cfg.withDefaults()
	report := &ParkedReport{
		Date: time.Now(), CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Orders: cfg.Orders, Window: cfg.Window, Rate: cfg.Rate,
	}
	for _, mode := range cfg.Modes {
		p := &parkedRun{cfg: cfg, result: ParkedResult{Mode: mode}}
		if err := p.measure(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", mode, err)
		}
		report.Modes = append(report.Modes, p.result)
	}
	return report, nil
}

// parkedAckWait is a node's default.
const parkedAckWait = ingress.DefaultAckWait

// parkedRun is one measurement.
type parkedRun struct {
	cfg    ParkedConfig
	server *benchServer
	engine *engineRun
	result ParkedResult
	// due is the time of the first timer, dueTimes that of each order.
	due      time.Time
	dueTimes map[string]time.Time
	// others are the other orders with the time when each was published.
	others map[string]time.Time
}

func (p *parkedRun) measure(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit+2*p.cfg.Ahead+p.cfg.Window)
	defer cancel()
	if p.server, err = startServer(ctx, p.cfg.Dir, p.result.Mode, parkedAckWait); err != nil {
		return err
	}
	defer p.server.close()
	if err := p.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.engine.stop(ctx)) }()
	for _, stage := range []func(context.Context) error{p.park, p.restartIdle, p.wake, p.checkJournal} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *parkedRun) start(ctx context.Context) (err error) {
	steps := engine.PlanFromProto(plan.Sim("sim:"))
	steps.Name = "parked"
	steps.Steps[1].Do = engine.Function(p.confirm)
	p.engine, err = startConfigured(ctx, p.server, steps, engine.Config{MaxInFlight: p.cfg.InFlight, AckWait: parkedAckWait})
	return err
}

// confirm is the step that is pending until the order's due time.
func (p *parkedRun) confirm(_ context.Context, c *engine.Call) (any, error) {
	if due, ok := p.dueTimes[c.Order.ID]; ok && time.Now().Before(due) {
		return nil, engine.Pending("confirmed", due)
	}
	return nil, nil
}

// park publishes the orders and waits until all are parked.
func (p *parkedRun) park(ctx context.Context) error {
	orders := demo.Samples(p.cfg.Orders, rand.Uint64())
	p.result.EmptyCPU = load(ctx, p.cfg.Idle)
	server := liveHeap()
	began, used := time.Now(), cpuTime()
	p.due = began.Add(p.cfg.Ahead)
	p.dueTimes = make(map[string]time.Time, len(orders))
	for i, o := range orders {
		p.dueTimes[o.GetOrderId()] = p.due.Add(p.cfg.Window / time.Duration(len(orders)) * time.Duration(i))
	}
	if err := p.server.publishAll(ctx, orders); err != nil {
		return err
	}
	err := p.until(ctx, func(inbox, timers uint64) (bool, error) {
		if time.Now().After(p.due) {
			return false, fmt.Errorf("%w: the first timer was due before all orders were parked: set it longer than %s", ErrTooSlow, p.cfg.Ahead)
		}
		return inbox == 0 && timers == uint64(len(orders)) && p.engine.inFlight() == 0, nil
	})
	p.result.Parking = p.stage(began, used)
	fmt.Fprintf(p.cfg.Progress, "%s: %d orders parked in %s\n", p.result.Mode, len(orders), p.result.Parking.Took.Round(time.Millisecond))
	p.result.ServerBytes = -int64(server)
	return err
}

func (p *parkedRun) stage(began time.Time, used time.Duration) Stage {
	return Stage{Took: time.Since(began), CPUPerOrder: (cpuTime() - used) / time.Duration(p.cfg.Orders)}
}

// restartIdle measures the idle node, and replaces it by another.
func (p *parkedRun) restartIdle(ctx context.Context) error {
	p.result.IdleCPU = load(ctx, p.cfg.Idle)
	parked := liveHeap()
	if err := p.engine.stop(ctx); err != nil {
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	fresh := liveHeap()
	p.result.EngineBytes = (int64(parked) - int64(fresh)) / int64(p.cfg.Orders)
	p.result.ServerBytes = (p.result.ServerBytes + int64(fresh)) / int64(p.cfg.Orders)
	if late := time.Since(p.due); late > 0 {
		return fmt.Errorf("%w: the first timer was due %s before the idle node was measured: set it longer than %s", ErrTooSlow, late, p.cfg.Ahead)
	}
	return nil
}

// wake waits until every order has ended, and publishes other orders during that time.
func (p *parkedRun) wake(ctx context.Context) error {
	if err := sleep(ctx, time.Until(p.due)); err != nil {
		return err
	}
	began, used := time.Now(), cpuTime()
	last := p.due.Add(p.cfg.Window)
	over, stop := context.WithCancel(ctx)
	defer stop()
	published := make(chan error, 1)
	go func() { published <- p.publishOthers(over) }()
	err := p.until(ctx, func(_, timers uint64) (bool, error) {
		p.result.PeakBytes = max(p.result.PeakBytes, currentHeap())
		return timers == 0 && time.Now().After(last), nil
	})
	stop()
	// The last order is in the inbox before the check that it is empty.
	if err := errors.Join(err, <-published); err != nil {
		return err
	}
	err = p.until(ctx, func(inbox, _ uint64) (bool, error) {
		p.result.PeakBytes = max(p.result.PeakBytes, currentHeap())
		return inbox == 0 && p.engine.inFlight() == 0, nil
	})
	p.result.Waking = p.stage(began, used)
	fmt.Fprintf(p.cfg.Progress, "%s: woken in %s\n", p.result.Mode, p.result.Waking.Took.Round(time.Millisecond))
	return err
}

// publishOthers publishes other orders at the rate until ctx ends.
func (p *parkedRun) publishOthers(ctx context.Context) error {
	publisher, err := ingress.NewPublisher(p.server.client, ingress.PublisherConfig{Batch: p.server.mode == Strict})
	if err != nil {
		return err
	}
	defer publisher.Close()
	p.others = map[string]time.Time{}
	tick := time.NewTicker(time.Second / time.Duration(p.cfg.Rate))
	defer tick.Stop()
	flushing := context.WithoutCancel(ctx)
	for seed := rand.Uint64(); ; seed++ {
		for _, o := range demo.Samples(1000, seed) {
			select {
			case <-ctx.Done():
				return publisher.Flush(flushing)
			case <-tick.C:
			}
			p.others[o.GetOrderId()] = time.Now()
			if err := publisher.Publish(flushing, ingress.Outgoing{OrderID: messages.OrderID(o.GetOrderId()), Body: o}, nil); err != nil {
				return err
			}
		}
	}
}

// until polls the numbers of messages and timers until done returns true.
func (p *parkedRun) until(ctx context.Context, done func(inbox, timers uint64) (bool, error)) error {
	for {
		var stored [2]uint64
		for i, name := range []string{messages.StreamOrders, messages.StreamTimers} {
			s, err := p.server.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			stored[i] = s.CachedInfo().State.Msgs
		}
		if over, err := done(stored[0], stored[1]); over || err != nil {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d messages in the inbox, %d timers, %d orders in flight: %w", stored[0], stored[1], p.engine.inFlight(), err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load is the share of one processor that this process uses during d.
func load(ctx context.Context, d time.Duration) float64 {
	began, used := time.Now(), cpuTime()
	_ = sleep(ctx, d) // the caller checks ctx
	return (cpuTime() - used).Seconds() / time.Since(began).Seconds()
}
