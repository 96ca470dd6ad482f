package supervision

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// levels specifies the tree: the supervisor of each actor, the directive for each failure, its budget, and the directive
// beyond the budget. The other files implement it.
//
//	node                   stops when a failure is escalated to it (Config.OnEscalation)
//	└─ shard supervisor    Config.Shards of them; the hash of an order's id assigns it to one
//	   └─ order actor      one for each order with unsettled deliveries
//	      └─ step call     no actor: its failure is a reply, which the order handles by its plan (package order)
//
// Both strategies are one for one: no actor is restarted because a sibling failed. Only failures of the node are escalated: of
// its infrastructure, and of the shard supervisors. A failure that belongs to an order stays with it.
type levels struct {
	// node supervises the shard supervisors, as their guardian.
	node level
	// shardSupervisor supervises the order actors of its shard.
	shardSupervisor level
}

func newLevels(c Config, outage *outageLimit) levels {
	backoff := func(n int) time.Duration { return c.Backoff.Delay(n, c.Rand()) }
	fixed := func(int) time.Duration { return c.GiveUpDelay }
	subsystem := newSubsystemBudget(c.SubsystemBudget)
	return levels{
		node: level{
			// The delay before the n-th consecutive restart is n × 50 ms.
			strategy: actor.NewExponentialBackoffStrategy(c.SubsystemBudget.Within, 50*time.Millisecond),
			rules: map[failure]rule{
				crash: {directive: restart, budget: subsystem, exceeded: escalate},
			},
		},
		shardSupervisor: level{
			rules: map[failure]rule{
				infrastructure: {directive: restart, delay: backoff, budget: outage, exceeded: escalate},
				defect:         {directive: restart, delay: backoff, budget: orderBudget(c.OrderBudget), exceeded: giveUp},
				// However many orders fail so, the failures are theirs: others go on.
				failedGiveUp: {directive: redeliver, delay: fixed},
			},
		},
	}
}

// level specifies how a supervisor handles the failures of its children.
type level struct {
	// strategy of the library, or nil if the supervisor has its own.
	strategy actor.SupervisorStrategy
	rules    map[failure]rule
}

// rule is the directive for a failure, with its delay and budget.
type rule struct {
	directive directive
	// delay of the directive for the n-th consecutive failure, from 1; nil if the strategy has its own.
	delay func(n int) time.Duration
	// budget of failures that get the directive, nil for any number. The next one gets the one named exceeded.
	budget   budget
	exceeded directive
}

// failure is a class of failures with the same rule.
type failure uint8

const (
	// crash: a shard supervisor panicked, which is a defect of this package.
	crash failure = iota
	// infrastructure: an order actor cannot reach the journal or NATS.
	infrastructure
	// defect: an order actor panicked for another reason.
	defect
	// failedGiveUp: as defect, of an actor that was started to give its order up.
	failedGiveUp
)

// directive is an action of a supervisor after a failure.
type directive uint8

const (
	// restart starts a new actor. An order actor gets all pending deliveries of its order; those of a crashed shard
	// supervisor are settled as Later(0).
	restart directive = iota
	// giveUp restarts an order actor, to journal that its order needs attention instead of driving it.
	giveUp
	// redeliver settles the pending deliveries of an order as Later(delay) and starts no actor.
	redeliver
	// escalate calls Config.OnEscalation, once. The failure gets the directive within the budget all the same, so that
	// the node can drain.
	escalate
)

// classify returns the class of an order actor's failure; givingUp: the actor was started to give its order up.
func classify(f *delivery.Failure, givingUp bool) failure {
	switch {
	case f.Kind == messages.Infrastructure:
		return infrastructure
	case givingUp:
		return failedGiveUp
	}
	return defect
}

// apply records a failure and returns the directive and its delay. The error is what to escalate, or nil. c is the order that
// failed, or nil for a shard supervisor.
func (r rule) apply(c *child, f error) (directive, error) {
	if r.budget == nil {
		return r.directive, nil
	}
	err := r.budget.spend(c, f)
	if err != nil && r.exceeded != escalate {
		return r.exceeded, nil
	}
	return r.directive, err
}
