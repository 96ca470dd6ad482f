package order

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// facts are what is true of a delivery, of the order it is about, and of both together.
type facts uint32

// Of the message.
const (
	// isWake: a fired timer; all others are messages from the inbox.
	isWake facts = 1 << iota
	isCreated
	// isRuling: a cancel, a retry or a skip, by which somebody decides about an order in attention; but not a skip that
	// means another step than the one in question.
	isRuling
	// isExpired: stored longer ago than an unknown order is waited for.
	isExpired
	// isHeld: received so long ago that there may be another delivery of the message.
	isHeld
	// inboxUnchecked: nobody has looked for earlier messages yet.
	inboxUnchecked
	// isBehind: an earlier message of the order is stored and not recorded.
	isBehind
)

// Of the order.
const (
	// noOrder: the journal has no entry.
	noOrder facts = 1 << (iota + 16)
	isParked
	inAttention
	hasEnded
)

// Of both together.
const (
	// idTaken: the message creates an order under an id that another order has.
	idTaken facts = 1 << (iota + 24)
	isRecorded
	// isDriver: the journal names the message as the one that carries the order.
	isDriver
	// isOwner: the journal names this very delivery.
	isOwner
	// staleRead: the order parked after the journal's last entry known here.
	staleRead
	// thisPark: the order is parked, and the timer is the park's.
	thisPark
	// isDue: the clock has reached the end of the park.
	isDue
	// maybeDead: published so early that a reader who saw no order may have made it a dead letter.
	maybeDead
)

// row answers a delivery of which all facts in when are true.
type row struct {
	rule   string
	when   facts
	decide decideFunc
}

// table is the protocol's answer to every delivery (R2, R3, R5): the first row whose facts are true decides.
var table = [...]row{
	// R2: no read is needed, the fence finds out about an order that exists. The same holds after a read (R3.4).
	{"R2", isCreated | noOrder, accept},

	{"R5.1", isWake | hasEnded, ack},
	{"R4 wake", isWake | isOwner, drive},
	{"R5.2", isWake | isDriver, takeOver},
	{"R5 gone", isWake | noOrder | isExpired, deadLetterGone},
	{"R5 stale", isWake | staleRead, waitForJournal},
	{"R5.3", isWake | thisPark | isDue, resume},
	{"R5.3 early", isWake | thisPark, waitForPark},
	{"R5.4", isWake | isParked, reschedule},
	{"R5.5", isWake, ack},

	{"R3 taken", idTaken, deadLetterTaken},
	{"R3.1", hasEnded, ack},
	// R4: its append was acknowledged, or only the reply was lost.
	{"R4", isOwner, drive},
	{"R3.2", isDriver, takeOver},
	// R6: a crash between the park and its schedule is repaired here.
	{"R3.3 parked", isRecorded | isParked, reschedule},
	{"R3.3", isRecorded, ack},
	{"R3.4", isCreated, ack},
	// Nothing fences a dead letter. Therefore only a delivery that is certainly the only one buries the message, gives it
	// back, or lets it take effect: otherwise an order could lose its driver's message.
	{"R3.6 held", maybeDead | isHeld, drop},
	// R3.5 looks into the inbox, therefore R3.6 is decided with it.
	{"R3.5 ask", inboxUnchecked, checkPredecessors},
	{"R3.5", isBehind, waitForEarlier},
	{"R3.6", noOrder | isExpired, deadLetterUnknown},
	{"R3.6 wait", noOrder, waitForOrder},
	{"R3.7", isParked, recordAndResume},
	{"R3.7 attention", inAttention | isRuling, recordAndResume},
	{"R3.8", 0, record},
}

// gather finds the facts.
func gather(s *State, d *delivery.Delivery, e Env) facts {
	f := ofOrder[s.Status] | ofMessage(d.Type)
	if f&(isCreated|noOrder) == isCreated|noOrder {
		// Nothing else matters to a new order, and most are.
		return f
	}
	f.add(isExpired, e.Now.Sub(d.Stored) > e.UnknownAge)
	f.add(isHeld, e.Now.Sub(d.Received) > e.exclusiveFor())
	f.add(inboxUnchecked, e.Predecessors == PredecessorsUnknown)
	f.add(isBehind, e.Predecessors == PredecessorsPending)
	f.add(isDriver, s.Driver == SourceOf(d))
	f.add(isOwner, f.has(isDriver) && s.Owner == d.Incarnation)
	if f.has(isWake) {
		f.add(staleRead, s.Last < d.Park)
		f.add(thisPark, f.has(isParked) && s.Park == d.Park)
		f.add(isDue, !e.Now.Before(s.ParkedUntil))
		return f
	}
	f.add(maybeDead, f.has(noOrder) || d.Sequence < s.Accepted)
	f.add(isRecorded, s.Recorded(d.Sequence))
	if !s.means(d.Skip) {
		f &^= isRuling
	}
	f.add(idTaken, f.has(isCreated) && d.Sequence != s.Accepted && !messages.SameOrder(s.Order, d.Created))
	return f
}

// means reports whether what needs attention is what the skip names, if it names anything.
func (s *State) means(skip *messages.SkipStep) bool {
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
		return isRuling
	}
	return 0
}

func (f facts) has(all facts) bool { return f&all == all }

func (f *facts) add(fact facts, holds bool) {
	if holds {
		*f |= fact
	}
}
