package order

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// facts about a delivery and its order.
type facts uint32

// Facts about the message.
const (
	// isWake: a fired timer; all others are messages from the inbox.
	isWake facts = 1 << iota
	isCreated
	// canEndAttention: a cancel, a retry, or a skip that names no other call than the one that needs attention.
	canEndAttention
	// isExpired: it has waited for longer than UnknownAge.
	isExpired
	// mayBeRedelivered: received long enough ago that another delivery of it may exist.
	mayBeRedelivered
	// predecessorsUnknown: the inbox has not been searched for earlier messages yet.
	predecessorsUnknown
	// hasPredecessor: an earlier message of the order is stored and not recorded.
	hasPredecessor
	// createdFollows: a later message, which is stored, creates the order.
	createdFollows
	// awaitsAgain: it is not too old, and was delivered before, or so many messages about orders that do not exist are stashed
	// that this one is not; or the inbox is being searched for so many that it is not searched for this one.
	awaitsAgain
	// mayHaveOthers: it was delivered late, or again, or with others, so that other messages of a new order may be stored; and
	// the inbox has not been read.
	mayHaveOthers
)

// Facts about the order.
const (
	// noOrder: the journal has no entry.
	noOrder facts = 1 << (iota + 12)
	isParked
	inAttention
	hasEnded
)

// Facts about both.
const (
	// idTaken: the message creates an order under an id that another order has.
	idTaken facts = 1 << (iota + 20)
	isRecorded
	// isDriver: the journal names the message as the order's driver.
	isDriver
	// isOwner: the journal names this delivery as the owner.
	isOwner
	// staleRead: the order parked after the last entry that was read.
	staleRead
	// thisPark: the order is parked, and the wake-up is of that park.
	thisPark
	// isDue: the park is over by the clock.
	isDue
	// mayBeDeadLettered: published so early that a reader that saw no order may have dead-lettered it, or a signal that one may
	// have seen as excess.
	mayBeDeadLettered
	// endsPark: not a signal, or the signal that the current call waits for.
	endsPark
	// isExcess: a signal that the order does not wait for, and has no room to keep.
	isExcess
)

// row decides about deliveries of which all facts in when are true.
type row struct {
	rule   string
	when   facts
	decide decideFunc
}

// table decides about every delivery (R2, R3, R5): the first row whose facts are true applies.
var table = [...]row{
	{"R2 late", isCreated | noOrder | mayHaveOthers, readInbox},
	// R2 needs no read: the fence refuses the append if the order exists. The same holds after a read (R3.4).
	{"R2", isCreated | noOrder, accept},

	{"R5.1", isWake | hasEnded, ack},
	{"R4 wake", isWake | isOwner, drive},
	{"R5.2", isWake | isDriver, takeOver},
	{"R5 gone", isWake | noOrder | isExpired, deadLetterGone},
	{"R5 stale", isWake | staleRead, redeliverStale},
	{"R5.3", isWake | thisPark | isDue, resume},
	{"R5.3 early", isWake | thisPark, redeliverWhenDue},
	{"R5.4", isWake | isParked, reschedule},
	{"R5.5", isWake, ack},

	{"R3 taken", idTaken, deadLetterTaken},
	{"R3.1", hasEnded, ack},
	// R4: its append is in the journal, and only the reply was lost.
	{"R4", isOwner, drive},
	{"R3.2", isDriver, takeOver},
	// R6: a crash between the park and its schedule is repaired here.
	{"R3.3 parked", isRecorded | isParked, reschedule},
	{"R3.3", isRecorded, ack},
	{"R3.4", isCreated, ack},
	// Dead-lettering is unfenced: a message from before its order is dead-lettered, redelivered or recorded only while no
	// redelivery of it can exist. Otherwise an order could lose its driver's message.
	{"R3.6 held", mayBeDeadLettered | mayBeRedelivered, drop},
	{"R3.8 excess", isExcess, deadLetterExcess},
	// Nothing is decided about a message that waits: the inbox is searched when it is too old.
	{"R3.6 again", noOrder | awaitsAgain, awaitOrder},
	// R3.6 needs the search of the inbox too.
	{"R3.5 ask", predecessorsUnknown, checkPredecessors},
	{"R3.5", hasPredecessor, redeliverAfterPredecessor},
	{"R3.6 follows", noOrder | createdFollows, stashUntilStarted},
	{"R3.6", noOrder | isExpired, deadLetterUnknown},
	{"R3.6 wait", noOrder, stashUntilStarted},
	{"R3.7", isParked | endsPark, recordAndResume},
	{"R3.7 attention", inAttention | canEndAttention, recordAndResume},
	{"R3.8", 0, record},
}

// gather collects the facts.
func gather(s *State, d *delivery.Delivery, e Env) facts {
	f := ofOrder[s.Status] | ofMessage(d.Type)
	if f&(isCreated|noOrder) == isCreated|noOrder {
		// No other fact is relevant to a new order, and most orders are new.
		f.add(mayHaveOthers, e.Inbox == nil && d.Invalid == nil && (e.OthersWait || d.Deliveries > 1 || e.Now.Sub(d.Stored) > lateAfter))
		return f
	}
	// A created message that is stored after the search was not seen by it: only the age before the search counts.
	searched := e.SearchedAt
	if searched.IsZero() {
		searched = e.Now
	}
	f.add(isExpired, Expired(d, searched, e.UnknownAge))
	f.add(awaitsAgain, !Expired(d, e.Now, e.UnknownAge) && (d.Deliveries > 1 || e.StashFull) || e.SearchFull && e.Predecessors == PredecessorsUnknown)
	f.add(mayBeRedelivered, e.held(d) > e.exclusiveFor())
	f.add(predecessorsUnknown, e.Predecessors == PredecessorsUnknown)
	f.add(hasPredecessor, e.Predecessors == PredecessorsPending)
	f.add(createdFollows, e.Predecessors == PredecessorsNoneCreatedFollows)
	f.add(isDriver, s.Driver == SourceOf(d))
	f.add(isOwner, f.has(isDriver) && s.Owner == d.Incarnation)
	if f.has(isWake) {
		f.add(staleRead, s.Last < d.Park)
		f.add(thisPark, f.has(isParked) && s.Park == d.Park)
		f.add(isDue, !e.Now.Before(s.ParkedUntil))
		return f
	}
	f.add(endsPark, d.Type != messages.TypeSignal || s.awaits(d.Signal.GetName()))
	noRoom := d.Type == messages.TypeSignal && !f.has(noOrder) && !s.hasRoom(d.Signal)
	f.add(isExcess, noRoom && !f.has(endsPark))
	f.add(mayBeDeadLettered, f.has(noOrder) || d.Sequence < s.Accepted || noRoom)
	f.add(isRecorded, s.Recorded(d.Sequence))
	if !s.skipMatches(d.Skip) {
		f &^= canEndAttention
	}
	f.add(idTaken, f.has(isCreated) && d.Sequence != s.Accepted && !messages.SameOrder(s.Order, d.Created))
	return f
}

// skipMatches reports whether the skip names the call that needs attention, or none.
func (s *State) skipMatches(skip *messages.SkipStep) bool {
	step, direction := skip.GetStep(), skip.GetDirection()
	return (step == "" || step == s.AttentionCause.GetStep()) && (direction == "" || direction == s.AttentionCause.GetDirection().Label())
}

var ofOrder = [...]facts{
	None: noOrder, Running: 0, Compensating: 0, Parked: isParked, Attention: inAttention,
	Completed: hasEnded, Rejected: hasEnded, Cancelled: hasEnded,
}

func ofMessage(t messages.Type) facts {
	switch t {
	case messages.TypeCreated:
		return isCreated
	case messages.TypeWake:
		return isWake
	case messages.TypeCancel, messages.TypeRetry, messages.TypeSkip:
		return canEndAttention
	}
	return 0
}

func (f facts) has(all facts) bool { return f&all == all }

func (f *facts) add(fact facts, holds bool) {
	if holds {
		*f |= fact
	}
}
