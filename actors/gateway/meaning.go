package gateway

import (
	"errors"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Meaning says in words what the end of a call means for its order. The documents have the same words.
type Meaning struct {
	// Outcome names the end of the call.
	Outcome string `json:"outcome"`
	// Effect is what the order does.
	Effect string `json:"effect"`
	// Understood: the service answered as a service should. Otherwise it, its answer or the set-up needs a change.
	Understood bool `json:"understood"`
}

// The ends of a call. Those of an undo that differ from those of a do have "undo" in their name.
var (
	meansDone = Meaning{"done", "the step is performed, and later steps see its data; after the last step the order completes", true}
	meansUndo = Meaning{"undone", "the step is undone; when every step is, the order ends", true}

	meansRejected       = Meaning{"rejected", "the steps done before are undone, and the order ends as rejected", true}
	meansRejectedStatus = Meaning{"rejected by its status", "as rejected; after a call in doubt, the step may be done: with in_doubt: undo it is undone too, otherwise the order needs attention", true}
	meansUndoRejected   = Meaning{"undo rejected", "the order needs attention, unless nothing_to_undo in the plan lists the code or status: then the step counts as undone", true}

	meansPending     = Meaning{"pending", "the order parks until the signal arrives; at the deadline the step is called again under the same key", true}
	meansUndoPending = Meaning{"undo pending", "the order parks until the signal arrives; at the deadline the undo is called again under the same key", true}

	meansRetry     = Meaning{"retry", "the call is made again under the same key, not before the delay that was asked for; after the last attempt the order needs attention", true}
	meansTemporary = Meaning{"temporary failure", "nothing was performed; the call is made again under the same key, and after the last attempt the order needs attention", false}
	meansInDoubt   = Meaning{"in doubt", "the call may have been performed; it is made again under the same key; after the last attempt, or when the service may have forgotten the key, the order needs attention", false}
	meansSetup     = Meaning{"set-up fault", "nothing about the order: the circuit opens, and all orders wait for the service without spending attempts until the set-up is right", false}

	meansUnreadable = Meaning{"unreadable", "performed, and the answer cannot be read; the call is made once more under the same key, then the order needs attention", false}
	meansTooLarge   = Meaning{"done, data too large", "as done, and later steps do not see the data", false}

	meansPoison   = Meaning{"impossible", "no attempt can succeed; the order needs attention", false}
	meansDefect   = Meaning{"defect", "the function failed; it is called again, and after the last attempt the order needs attention", false}
	meansDeferred = Meaning{"deferred", "the call was not made; the order parks until it can be, and no attempt is spent", false}
)

// Meanings are all ends of a call, in the order of the documents.
func Meanings() []Meaning {
	return []Meaning{
		meansDone, meansUndo, meansRejected, meansRejectedStatus, meansUndoRejected, meansPending, meansUndoPending, meansRetry,
		meansTemporary, meansInDoubt, meansSetup, meansUnreadable, meansTooLarge, meansPoison, meansDefect, meansDeferred,
	}
}

// MeaningOf returns what the end of a call, as Done gets it, means for its order.
func MeaningOf(d messages.Direction, reply *messages.StepReply, err error) Meaning {
	undo := d == messages.Undo
	if err != nil {
		return meaningOfFailure(undo, err)
	}
	switch reply.GetResult().(type) {
	case *messages.StepReply_Done:
		return pick(undo, meansUndo, meansDone)
	case *messages.StepReply_Rejected:
		return pick(undo, meansUndoRejected, meansRejected)
	case *messages.StepReply_Pending:
		return pick(undo, meansUndoPending, meansPending)
	case *messages.StepReply_Retry:
		return meansRetry
	}
	return meansUnreadable
}

func meaningOfFailure(undo bool, err error) Meaning {
	f := &delivery.Failure{Kind: messages.Transient}
	errors.As(err, &f)
	switch {
	case f.Deferral != nil:
		return meansDeferred
	case f.Kind == messages.Setup:
		return meansSetup
	case f.Kind == messages.Unreadable && f.Done:
		return meansTooLarge
	case f.Kind == messages.Unreadable:
		return meansUnreadable
	case f.Kind == messages.Rejected:
		return pick(undo, meansUndoRejected, meansRejectedStatus)
	case f.Kind == messages.Poison:
		return meansPoison
	case f.Kind == messages.Defect:
		return meansDefect
	case f.InDoubt:
		return meansInDoubt
	}
	return meansTemporary
}

func pick(undo bool, ifUndo, otherwise Meaning) Meaning {
	if undo {
		return ifUndo
	}
	return otherwise
}
