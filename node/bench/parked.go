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

// ParkedReport is the outcome of a measurement of parked orders.
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
	// Parking is from the first publish to the last order's rest.
	Parking Stage `json:"parking"`
	// Waking is from the first due timer to the last order's end.
	Waking Stage `json:"waking"`

	// EngineBytes is the live heap for each parked order that the node which parked them holds more than one that was
	// just started; ServerBytes that which the server holds more than before.
	EngineBytes int64 `json:"engine_bytes_per_order"`
	ServerBytes int64 `json:"server_bytes_per_order"`
	// PeakBytes is the largest heap while the orders woke.
	PeakBytes uint64 `json:"peak_bytes"`
	// EmptyCPU and IdleCPU are the share of one processor that is used without orders, and while all are parked.
	EmptyCPU float64 `json:"empty_cpu"`
	IdleCPU  float64 `json:"idle_cpu"`

	Wakes Wakes `json:"wakes"`
	// Others are orders that did not wait, published while the parked ones woke.
	Others Latency `json:"others"`
	// OthersCount is how many there were.
	OthersCount int `json:"others_count"`
}

// Stage is what a part of the measurement took.
type Stage struct {
	Took        time.Duration `json:"took_ns"`
	CPUPerOrder time.Duration `json:"cpu_per_order_ns"`
}

// RunParked measures. It starts servers of its own and removes them. That an order woke early, twice, or not at all is an
// error.
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
		p := &parking{cfg: cfg, result: ParkedResult{Mode: mode}}
		if err := p.measure(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", mode, err)
		}
		report.Modes = append(report.Modes, p.result)
	}
	return report, nil
}

// parkedAckWait is a node's default.
const parkedAckWait = ingress.DefaultAckWait

// parking is one measurement under way.
type parking struct {
	cfg    ParkedConfig
	ground *ground
	engine *running
	result ParkedResult
	// due is when the first timer is, and each order's place in the window.
	due   time.Time
	place map[string]time.Time
	// others are the orders that do not wait, and when each was published.
	others map[string]time.Time
}

func (p *parking) measure(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit+2*p.cfg.Ahead+p.cfg.Window)
	defer cancel()
	if p.ground, err = prepare(ctx, p.cfg.Dir, p.result.Mode, parkedAckWait); err != nil {
		return err
	}
	defer p.ground.close()
	if err := p.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.engine.stop(ctx)) }()
	for _, stage := range []func(context.Context) error{p.park, p.rest, p.wake, p.judge} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *parking) start(ctx context.Context) (err error) {
	steps := engine.PlanFromProto(plan.Sim("sim:"))
	steps.Name = "parked"
	steps.Steps[1].Do = engine.Function(p.confirm)
	p.engine, err = startConfigured(ctx, p.ground, steps, engine.Config{MaxInFlight: p.cfg.InFlight, AckWait: parkedAckWait})
	return err
}

// confirm is the step that waits.
func (p *parking) confirm(_ context.Context, c *engine.Call) (any, error) {
	if due, ok := p.place[c.Order.ID]; ok && time.Now().Before(due) {
		return nil, engine.Pending("confirmed", due)
	}
	return nil, nil
}

// park publishes the orders and waits until all are at rest.
func (p *parking) park(ctx context.Context) error {
	orders := demo.Samples(p.cfg.Orders, rand.Uint64())
	p.result.EmptyCPU = load(ctx, p.cfg.Idle)
	server := heap()
	began, used := time.Now(), cpuTime()
	p.due = began.Add(p.cfg.Ahead)
	p.place = make(map[string]time.Time, len(orders))
	for i, o := range orders {
		p.place[o.GetOrderId()] = p.due.Add(p.cfg.Window / time.Duration(len(orders)) * time.Duration(i))
	}
	if err := p.ground.publishAll(ctx, orders); err != nil {
		return err
	}
	err := p.until(ctx, func(inbox, timers uint64) (bool, error) {
		if time.Now().After(p.due) {
			return false, fmt.Errorf("the first timer was due before all orders were parked: set the time ahead longer than %s", p.cfg.Ahead)
		}
		return inbox == 0 && timers == uint64(len(orders)) && p.engine.inFlight() == 0, nil
	})
	p.result.Parking = p.stage(began, used)
	fmt.Fprintf(p.cfg.Progress, "%s: %d orders parked in %s\n", p.result.Mode, len(orders), p.result.Parking.Took.Round(time.Millisecond))
	p.result.ServerBytes = -int64(server)
	return err
}

func (p *parking) stage(began time.Time, used time.Duration) Stage {
	return Stage{Took: time.Since(began), CPUPerOrder: (cpuTime() - used) / time.Duration(p.cfg.Orders)}
}

// rest watches the node at rest, and puts another in its place.
func (p *parking) rest(ctx context.Context) error {
	p.result.IdleCPU = load(ctx, p.cfg.Idle)
	parked := heap()
	if err := p.engine.stop(ctx); err != nil {
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	fresh := heap()
	p.result.EngineBytes = (int64(parked) - int64(fresh)) / int64(p.cfg.Orders)
	p.result.ServerBytes = (p.result.ServerBytes + int64(fresh)) / int64(p.cfg.Orders)
	if late := time.Since(p.due); late > 0 {
		return fmt.Errorf("the first timer was due %s before the orders had rested long enough: set the time ahead longer than %s", late, p.cfg.Ahead)
	}
	return nil
}

// wake waits until every order has ended. Others come in meanwhile.
func (p *parking) wake(ctx context.Context) error {
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
		p.result.PeakBytes = max(p.result.PeakBytes, liveHeap())
		return timers == 0 && time.Now().After(last), nil
	})
	stop()
	// What was published last is in the inbox before anybody looks whether that is empty.
	if err := errors.Join(err, <-published); err != nil {
		return err
	}
	err = p.until(ctx, func(inbox, _ uint64) (bool, error) {
		p.result.PeakBytes = max(p.result.PeakBytes, liveHeap())
		return inbox == 0 && p.engine.inFlight() == 0, nil
	})
	p.result.Waking = p.stage(began, used)
	fmt.Fprintf(p.cfg.Progress, "%s: woken in %s\n", p.result.Mode, p.result.Waking.Took.Round(time.Millisecond))
	return err
}

// publishOthers publishes orders that do not wait, at the rate, until ctx ends.
func (p *parking) publishOthers(ctx context.Context) error {
	publisher, err := ingress.NewPublisher(p.ground.client, ingress.PublisherConfig{Batch: p.ground.mode == Strict})
	if err != nil {
		return err
	}
	defer publisher.Close()
	p.others = map[string]time.Time{}
	tick := time.NewTicker(time.Second / time.Duration(p.cfg.Rate))
	defer tick.Stop()
	unhurried := context.WithoutCancel(ctx)
	for seed := rand.Uint64(); ; seed++ {
		for _, o := range demo.Samples(1000, seed) {
			select {
			case <-ctx.Done():
				return publisher.Flush(unhurried)
			case <-tick.C:
			}
			p.others[o.GetOrderId()] = time.Now()
			if err := publisher.Publish(unhurried, ingress.Outgoing{OrderID: messages.OrderID(o.GetOrderId()), Body: o}, nil); err != nil {
				return err
			}
		}
	}
}

// until looks at inbox and timers until done says so.
func (p *parking) until(ctx context.Context, done func(inbox, timers uint64) (bool, error)) error {
	for {
		var stored [2]uint64
		for i, name := range []string{messages.StreamOrders, messages.StreamTimers} {
			s, err := p.ground.js.Stream(ctx, name)
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

// load is the share of one processor that this process uses.
func load(ctx context.Context, d time.Duration) float64 {
	began, used := time.Now(), cpuTime()
	_ = sleep(ctx, d) // a caller whose time is over notices
	return (cpuTime() - used).Seconds() / time.Since(began).Seconds()
}
