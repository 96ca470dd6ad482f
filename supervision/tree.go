package supervision

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// levels specifies the tree: who supervises whom, how each failure is answered, how many are borne, and what follows the
// next one. The other files carry it out.
//
//	node                   a failure escalated to it stops the node (Config.OnEscalation)
//	└─ shard supervisor    Config.Shards of them; the hash of an order's id says which one it belongs to
//	   └─ order actor      one for each order with unsettled deliveries
//	      └─ step call     no actor: its failure is a reply, which the order answers by its plan (package order)
//
// Each level answers one for one: no actor is restarted because a sibling failed.
type levels struct {
	// node is the guardian of the shard supervisors.
	node level
	// shardSupervisor supervises the order actors of its shard.
	shardSupervisor level
}

// level is how a supervisor answers the failures of its children.
type level struct {
	// strategy of the library that carries out restarts, or nil for shard.HandleFailure.
	strategy actor.SupervisorStrategy
	rules    map[failure]rule
}

// rule answers a failure with within while the budget lasts, then with beyond.
type rule struct {
	within directive
	delay  delay
	budget budget
	beyond directive
}

func newLevels(c Config, outage *outageLimit) levels {
	backoff := func(n int) time.Duration { return c.Backoff.Delay(n, c.Rand()) }
	subsystem := newSubsystemBudget(c.SubsystemBudget)
	return levels{
		node: level{
			// The n-th restart in a row is delayed by n × 50 ms.
			strategy: actor.NewExponentialBackoffStrategy(c.SubsystemBudget.Within, 50*time.Millisecond),
			rules: map[failure]rule{
				crash: {within: restart, budget: subsystem, beyond: escalate},
			},
		},
		shardSupervisor: level{
			rules: map[failure]rule{
				infrastructure: {within: restart, delay: backoff, budget: outage, beyond: escalate},
				defect:         {within: restart, delay: backoff, budget: orderBudget(c.OrderBudget), beyond: giveUp},
				failedGiveUp:   {within: redeliver, delay: fixed(c.GiveUpDelay), budget: subsystem, beyond: escalate},
			},
		},
	}
}

// failure is a class of failures that are answered alike.
type failure uint8

const (
	// crash: a shard supervisor panicked. That is a defect of this package.
	crash failure = iota
	// infrastructure: an order actor cannot reach the journal or NATS.
	infrastructure
	// defect: an order actor panicked for any other reason.
	defect
	// failedGiveUp: an order actor panicked instead of giving its order up.
	failedGiveUp
)

// classify says what the failure of an order actor is; givingUp: the actor was told to give its order up.
func classify(f *delivery.Failure, givingUp bool) failure {
	switch {
	case f.Kind == messages.Infrastructure:
		return infrastructure
	case givingUp:
		return failedGiveUp
	}
	return defect
}

// directive is what a supervisor does about a failure.
type directive uint8

const (
	// restart starts a new actor after the delay. An order actor gets all its pending deliveries again; those of a crashed
	// shard supervisor are settled as Later(0).
	restart directive = iota
	// giveUp restarts an order actor that is told to journal attention instead of driving its order.
	giveUp
	// redeliver settles the pending deliveries of an order as Later(delay). No actor is started before one comes back.
	redeliver
	// escalate tells the node to stop, once. Until it does, failures are answered as if they were within the budget.
	escalate
)

// answer records a failure and returns what to do about it; escalation is why the node must stop, or nil. c is nil when a
// shard supervisor failed.
func (r rule) answer(c *child, f error) (d directive, escalation error) {
	exceeded := r.budget.spend(c, f)
	switch {
	case exceeded == nil:
		return r.within, nil
	case r.beyond == escalate:
		return r.within, exceeded
	}
	return r.beyond, nil
}

// delay of the answer to the n-th failure in a row.
type delay func(n int) time.Duration

func fixed(d time.Duration) delay { return func(int) time.Duration { return d } }
