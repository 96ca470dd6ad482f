package timeline

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// moment is what a sentence about an event needs besides the event.
type moment struct {
	at   time.Time
	node string
	// before is who drove the order until now.
	before Driver
	// attempt is the number that an attempt has since a person last said retry.
	attempt int
	plan    *messages.Plan
	// status and need are the order's before the entry; resumes: the entry ends its rest.
	status  order.Status
	need    *messages.OrderNeedsAttention
	resumes bool
}

// summary says in one sentence what happened.
func (m moment) summary(e *messages.Event) string {
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		return acceptedSummary(k.Accepted)
	case *messages.Event_StepCompleted:
		return stepCompletedSummary(k.StepCompleted)
	case *messages.Event_StepFailed:
		return m.stepFailed(k.StepFailed)
	case *messages.Event_StepRejected:
		return fmt.Sprintf("%s refused%s", k.StepRejected.GetStep(), because(k.StepRejected.GetCode(), k.StepRejected.GetReason()))
	case *messages.Event_StepPending:
		return fmt.Sprintf("%s waits for signal %q until %s", k.StepPending.GetStep(), k.StepPending.GetSignal(), clock(k.StepPending.GetDeadline().AsTime()))
	case *messages.Event_StepUndone:
		if k.StepUndone.GetSkipped() {
			return fmt.Sprintf("undo of %s passed over on request", k.StepUndone.GetStep())
		}
		return fmt.Sprintf("%s undone%s", k.StepUndone.GetStep(), effort(k.StepUndone.GetAttempt(), k.StepUndone.GetTookUs()))
	case *messages.Event_CancelRequested:
		return "cancel requested" + because("", k.CancelRequested.GetReason())
	case *messages.Event_Signalled:
		return fmt.Sprintf("signal %q arrived", k.Signalled.GetName())
	case *messages.Event_Parked:
		until := k.Parked.GetUntil().AsTime()
		return fmt.Sprintf("parked for %s, until %s: %s", coarse(until.Sub(m.at)), clock(until), k.Parked.GetReason())
	case *messages.Event_Resumed:
		return m.resumed(k.Resumed.GetCause())
	case *messages.Event_Attention:
		return attentionSummary(k.Attention)
	case *messages.Event_Completed:
		return "order completed"
	case *messages.Event_Rejected:
		return "order rejected" + because(k.Rejected.GetCode(), k.Rejected.GetReason())
	case *messages.Event_Cancelled:
		return "order cancelled" + because("", k.Cancelled.GetReason())
	case *messages.Event_Recorded:
		return m.recorded(k.Recorded)
	}
	return "an event of a kind this version does not know"
}

func acceptedSummary(e *messages.OrderAccepted) string {
	items := "items"
	if len(e.GetOrder().GetItems()) == 1 {
		items = "item"
	}
	return fmt.Sprintf("accepted: %d %s, %s %s, plan %s v%d", len(e.GetOrder().GetItems()), items,
		amount(e.GetOrder()), e.GetOrder().GetCurrency(), e.GetPlan().GetName(), e.GetPlan().GetVersion())
}

func stepCompletedSummary(e *messages.StepCompleted) string {
	switch {
	case e.GetSkipped():
		return e.GetStep() + " passed over on request"
	case e.GetSignal() != "":
		return fmt.Sprintf("%s done by signal %q", e.GetStep(), e.GetSignal())
	}
	return e.GetStep() + " done" + effort(e.GetAttempt(), e.GetTookUs())
}

func (m moment) stepFailed(e *messages.StepFailed) string {
	s := fmt.Sprintf("%s failed (%s, %s): %s", call(e.GetStep(), e.GetDirection()), m.attempts(e), e.GetKind().Label(), e.GetError())
	if again := e.GetRetryAt(); again != nil {
		s += "; again in " + since(again.AsTime().Sub(m.at))
	}
	return s
}

// attempts says which attempt failed, of how many.
func (m moment) attempts(e *messages.StepFailed) string {
	s := fmt.Sprintf("attempt %d", e.GetAttempt())
	if int(e.GetAttempt()) != m.attempt {
		s += fmt.Sprintf(", %d", m.attempt)
	}
	for _, step := range m.plan.GetSteps() {
		if most := step.GetRetry().GetAttempts(); step.GetName() == e.GetStep() && most > 0 {
			s += fmt.Sprintf(" of %d", most)
		}
	}
	if int(e.GetAttempt()) != m.attempt {
		s += " since a person stepped in"
	}
	return s
}

// call names one call of a step.
func call(step string, d messages.Direction) string {
	if d == messages.Undo {
		return "undo of " + step
	}
	return step
}

func attentionSummary(e *messages.OrderNeedsAttention) string {
	if e.GetStep() == "" {
		return "a person must decide: " + e.GetCause()
	}
	return fmt.Sprintf("a person must decide about %s: %s", about(e), e.GetCause())
}

// recorded tells of a retry or a skip, and of one that changes nothing why that is.
func (m moment) recorded(e *messages.MessageRecorded) string {
	said := strings.TrimPrefix(e.GetType(), "order.") + " requested"
	switch {
	case m.resumes && m.status == order.Parked && e.GetType() == string(messages.TypeSkip):
		return said + ", passes over nothing: the order was parked"
	case m.resumes:
		return said
	case m.status == order.Attention && m.need.GetStep() == "":
		return said + ", no effect: it names a call, and no single one needed a person"
	case m.status == order.Attention:
		return said + ", no effect: it names another call than " + about(m.need)
	case m.status == order.Compensating:
		return said + ", no effect: the order was being undone"
	}
	return said + ", no effect: the order was running"
}

// about names the call that needs a person.
func about(e *messages.OrderNeedsAttention) string {
	if e.GetDirection() == messages.Undo {
		return "the " + call(e.GetStep(), e.GetDirection())
	}
	return e.GetStep()
}

func (m moment) resumed(cause string) string {
	switch {
	case cause == "takeover" && m.before.Node != m.node:
		return fmt.Sprintf("taken over from %s, which let go or fell silent", m.before.Node)
	case cause == "takeover":
		return "taken over by another delivery on the same node"
	case cause == "wake":
		return "resumed by its timer"
	}
	return "resumed by " + cause
}

func because(code, reason string) string {
	switch {
	case code == "" && reason == "":
		return ""
	case code == "":
		return ": " + reason
	case reason == "":
		return ": " + code
	}
	return ": " + code + ": " + reason
}

// effort tells how long a call took, and how many it needed if more than one.
func effort(attempt uint32, tookUs uint64) string {
	took := (time.Duration(tookUs) * time.Microsecond).Round(10 * time.Microsecond)
	if attempt > 1 {
		return fmt.Sprintf(" in %s at attempt %d", took, attempt)
	}
	return fmt.Sprintf(" in %s", took)
}
