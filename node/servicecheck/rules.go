package servicecheck

// rule is something that a service must do.
type rule struct{ name, tried, why, advice string }

var (
	answers = rule{
		"answers", "a do for a new order",
		"every order begins with it, and only an answer that is understood moves an order on",
		"answer with a StepReply: done, rejected, pending or retry",
	}
	sameAnswer = rule{
		"same answer", "the same call again, with another attempt number and a larger fencing token",
		"a node that lost the answer calls again, and must learn what happened the first time",
		"store the answer under the idempotency key together with the effect, and give the stored answer to every later call",
	}
	otherBody = rule{
		"other body", "another order under a key that was used",
		"a key that is used for two orders is a mistake; performing or confirming the second one hides it",
		"store a digest of the body with the key, and answer another body with 409 or 422, or refuse it",
	}
	staleCall = rule{
		"stale call", "a call for the same order with a smaller fencing token",
		"it comes from a node that lost the order: what it wants may contradict what the order has done since",
		"store the largest Orderly-Fencing-Token of each order, and answer retry to a smaller one, without acting",
	}
	undoes = rule{
		"undo", "the undo",
		"a rejected or cancelled order waits for it, and needs a person when it is refused",
		"answer done once the effect is undone; temporary trouble is retry",
	}
	undoesTwice = rule{
		"undo again", "the undo again",
		"a node that lost the answer calls again",
		"answer an undo that was performed before with done",
	}
	undoIsFinal = rule{
		"do after undo", "the do after its undo",
		"a late call from a node that lost the order must not perform what the order has undone",
		"with the undo, store a refusal under the key of the do",
	}
	sameAtOnce = rule{
		"same key at once", "8 calls with one key at the same time",
		"two nodes can call at the same time, and the effect must happen once",
		"store the key under a unique constraint, in the transaction of the effect; answer retry or 409 while another call has it",
	}
	laterFields = rule{
		"unknown fields", "a request with a field of a later version",
		"a later version of Orderly may add fields",
		"ignore the fields that you do not know",
	}
	undoesNothing = rule{
		"undo of nothing", "the undo of a step that was never called",
		"an order is undone while it is in doubt whether the call arrived",
		"answer done, and store a refusal under the key of the do",
	}
	lateDo = rule{
		"late do", "the do that comes after that undo",
		"a call that was delayed in the network arrives after the order has ended",
		"with every undo, store a refusal under the key of the do, also if nothing was performed",
	}
)

// rules are the rules in the order of the checks.
func rules(undo bool) []rule {
	if !undo {
		return []rule{answers, sameAnswer, otherBody, staleCall, sameAtOnce, laterFields}
	}
	return []rule{
		answers, sameAnswer, otherBody, staleCall, undoes, undoesTwice, undoIsFinal, sameAtOnce, laterFields, undoesNothing, lateDo,
	}
}
