package order

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func accepted(e *messages.OrderAccepted) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: e}}
}

func stepCompleted(e *messages.StepCompleted) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: e}}
}

func stepFailed(e *messages.StepFailed) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: e}}
}

func stepRejected(e *messages.StepRejected) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: e}}
}

func stepPending(e *messages.StepPending) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepPending{StepPending: e}}
}

func stepUndone(e *messages.StepUndone) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: e}}
}

func cancelRequested(e *messages.CancelRequested) *messages.Event {
	return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: e}}
}

func signalled(e *messages.Signalled) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: e}}
}

func recorded(e *messages.MessageRecorded) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Recorded{Recorded: e}}
}

func parked(reason string, until time.Time) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: reason, Until: timestamppb.New(until)}}}
}

func resumed(d *delivery.Delivery, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{
		Driver: d.Source(), Incarnation: d.Incarnation, Cause: cause,
	}}}
}

func attention(e *messages.OrderNeedsAttention) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Attention{Attention: e}}
}

func completed() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
}

func rejected(code, reason string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: code, Reason: reason}}}
}

func cancelled(reason string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{Reason: reason}}}
}
