package messages

// Kinds of events that most orders end with.
const (
	KindStepCompleted = "step_completed"
	KindCompleted     = "completed"
)

// KindOf returns the event's kind as in the Orderly-Event header.
func KindOf(e *Event) string {
	switch e.GetKind().(type) {
	case *Event_Accepted:
		return "accepted"
	case *Event_StepCompleted:
		return KindStepCompleted
	case *Event_StepFailed:
		return "step_failed"
	case *Event_StepRejected:
		return "step_rejected"
	case *Event_StepPending:
		return "step_pending"
	case *Event_StepUndone:
		return "step_undone"
	case *Event_CancelRequested:
		return "cancel_requested"
	case *Event_Signalled:
		return "signalled"
	case *Event_Parked:
		return "parked"
	case *Event_Resumed:
		return "resumed"
	case *Event_Attention:
		return "attention"
	case *Event_Completed:
		return KindCompleted
	case *Event_Rejected:
		return "rejected"
	case *Event_Cancelled:
		return "cancelled"
	case *Event_Recorded:
		return "recorded"
	}
	return "unknown"
}

// SourceOf returns the message of the inbox that the event makes part of its order's history; nil if it makes none.
func SourceOf(e *Event) *Source {
	switch k := e.GetKind().(type) {
	case *Event_Accepted:
		return k.Accepted.GetDriver()
	case *Event_CancelRequested:
		return k.CancelRequested.GetSource()
	case *Event_Signalled:
		return k.Signalled.GetSource()
	case *Event_Recorded:
		return k.Recorded.GetSource()
	}
	return nil
}
