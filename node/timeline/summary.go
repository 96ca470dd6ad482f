package timeline

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// eventContext is the input of an event's summary in addition to the event.
type eventContext struct {
	at   time.Time
	node string
	// before is the driver until this entry.
	previousDriver Driver
	// attempt is the number of an attempt since the last retry by an operator.
	attempt int
	plan    *messages.Plan
	// status and need are those before the entry; resumes: the entry resumes the order.
	status  order.Status
	need    *messages.OrderNeedsAttention
	resumes bool
}

// summary describes the event in one sentence.
func (m eventContext) summary(e *messages.Event) string {
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		return acceptedSummary(k.Accepted)
	case *messages.Event_StepCompleted:
		return stepCompletedSummary(k.StepCompleted)
	case *messages.Event_StepFailed:
		return m.stepFailed(k.StepFailed)
	case *messages.Event_StepRejected:
		return stepRejectedSummary(k.StepRejected)
	case *messages.Event_StepPending:
		return fmt.Sprintf("%s waits for signal %q until %s", callName(k.StepPending.GetStep(), k.StepPending.GetDirection()),
			k.StepPending.GetSignal(), formatTime(k.StepPending.GetDeadline().AsTime()))
	case *messages.Event_StepUndone:
		return stepUndoneSummary(k.StepUndone)
	case *messages.Event_CancelRequested:
		return "cancel requested" + reasonSuffix("", k.CancelRequested.GetReason())
	case *messages.Event_Signalled:
		return fmt.Sprintf("signal %q arrived", k.Signalled.GetName())
	case *messages.Event_Parked:
		until := k.Parked.GetUntil().AsTime()
		s := fmt.Sprintf("parked for %s, until %s: %s", roughDuration(until.Sub(m.at)), formatTime(until), k.Parked.GetReason())
		if k.Parked.GetInDoubt() {
			s += mayBePerformed
		}
		return s
	case *messages.Event_Resumed:
		return m.resumed(k.Resumed.GetCause())
	case *messages.Event_Attention:
		return attentionSummary(k.Attention)
	case *messages.Event_Completed:
		return "order completed"
	case *messages.Event_Rejected:
		return "order rejected" + reasonSuffix(k.Rejected.GetCode(), k.Rejected.GetReason())
	case *messages.Event_Cancelled:
		return "order cancelled" + reasonSuffix("", k.Cancelled.GetReason())
	case *messages.Event_Recorded:
		return m.recorded(k.Recorded)
	}
	return "an event of a kind that this version does not know"
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
		return e.GetStep() + " skipped on request"
	case e.GetSignal() != "":
		return fmt.Sprintf("%s done by signal %q%s", e.GetStep(), e.GetSignal(), droppedSuffix(e.GetDropped()))
	case e.GetDropped() != "" && e.GetTookUs() == 0:
		return e.GetStep() + " done, without another call" + droppedSuffix(e.GetDropped())
	}
	return e.GetStep() + " done" + tookSuffix(e.GetAttempt(), e.GetTookUs()) + droppedSuffix(e.GetDropped())
}

// droppedSuffix is why a result has no data, if they were dropped.
func droppedSuffix(why string) string {
	if why == "" {
		return ""
	}
	return "; it has no data: " + why
}

func stepRejectedSummary(e *messages.StepRejected) string {
	s := e.GetStep() + " refused" + reasonSuffix(e.GetCode(), e.GetReason())
	if e.GetInDoubt() {
		s += "; it may have been performed by an earlier attempt, and is undone"
	}
	return s
}

func stepUndoneSummary(e *messages.StepUndone) string {
	switch {
	case e.GetSkipped():
		return fmt.Sprintf("undo of %s skipped on request", e.GetStep())
	case e.GetSignal() != "":
		return fmt.Sprintf("%s undone by signal %q", e.GetStep(), e.GetSignal())
	}
	s := e.GetStep() + " undone" + tookSuffix(e.GetAttempt(), e.GetTookUs())
	if code := e.GetCode(); code != "" {
		s += ": nothing was left to undo, code " + code
	}
	return s
}

// mayBePerformed is said of an attempt without a definite answer.
const mayBePerformed = "; it may have been performed"

func (m eventContext) stepFailed(e *messages.StepFailed) string {
	s := fmt.Sprintf("%s failed (%s, %s): %s", callName(e.GetStep(), e.GetDirection()), m.attemptPhrase(e), e.GetKind().Label(), e.GetError())
	if e.GetInDoubt() {
		s += mayBePerformed
	}
	if again := e.GetRetryAt(); again != nil {
		s += "; again in " + preciseDuration(again.AsTime().Sub(m.at))
	}
	return s
}

// attempts is the number of the failed attempt, and the limit.
func (m eventContext) attemptPhrase(e *messages.StepFailed) string {
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
		s += " since a person retried it"
	}
	return s
}

// callName names one call of a step.
func callName(step string, d messages.Direction) string {
	if d == messages.Undo {
		return "undo of " + step
	}
	return step
}

func attentionSummary(e *messages.OrderNeedsAttention) string {
	if e.GetStep() == "" {
		return "a person must decide: " + e.GetCause()
	}
	return fmt.Sprintf("a person must decide about %s: %s", attentionCall(e), e.GetCause())
}

// recorded describes a retry or skip, and why it has no effect if so.
func (m eventContext) recorded(e *messages.MessageRecorded) string {
	said := strings.TrimPrefix(e.GetType(), "order.") + " requested"
	switch {
	case m.resumes && m.status == order.Parked && e.GetType() == string(messages.TypeSkip):
		return said + ", skips nothing: the order was parked"
	case m.resumes:
		return said
	case m.status == order.Attention && m.need.GetStep() == "":
		return said + ", no effect: it names a call, but no single call needed attention"
	case m.status == order.Attention:
		return said + ", no effect: it names another call than " + attentionCall(m.need)
	case m.status == order.Compensating:
		return said + ", no effect: the order was being undone"
	}
	return said + ", no effect: the order was running"
}

// attentionCall names the call about which an operator must decide.
func attentionCall(e *messages.OrderNeedsAttention) string {
	if e.GetDirection() == messages.Undo {
		return "the " + callName(e.GetStep(), e.GetDirection())
	}
	return e.GetStep()
}

func (m eventContext) resumed(cause string) string {
	switch {
	case cause == "takeover" && m.previousDriver.Node != m.node:
		return fmt.Sprintf("taken over from %s, which released it or stopped responding", m.previousDriver.Node)
	case cause == "takeover":
		return "taken over by another delivery on the same node"
	case cause == "restart":
		return "restarted after a failure on the node"
	case cause == "wake":
		return "resumed by its timer"
	}
	return "resumed by " + cause
}

func reasonSuffix(code, reason string) string {
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

// tookSuffix is the duration of a call, and its attempt if it was not the first.
func tookSuffix(attempt uint32, tookUs uint64) string {
	took := (time.Duration(tookUs) * time.Microsecond).Round(10 * time.Microsecond)
	if attempt > 1 {
		return fmt.Sprintf(" in %s at attempt %d", took, attempt)
	}
	return fmt.Sprintf(" in %s", took)
}
