package order

// Rest says for what an order is parked.
type ParkCause string

// What a parked order waits for.
const (
	// RestPending: the step that answered pending waits for its signal.
	ParkPending ParkCause = "pending"
	// RestRetry: a call that failed is attempted again.
	ParkRetry ParkCause = "retry"
	// RestOutage: a downstream service that is out, or has no room, is waited for before the call is made.
	ParkOutage ParkCause = "outage"
)

// ParkedFor tells for what the order is parked, "" unless it is. The timer decides: a park for a signal ends with the
// deadline of the pending step, one for a retry when the failed attempt said.
func (s *State) ParkedFor() ParkCause {
	switch {
	case s.Status != Parked:
		return ""
	case s.LastFailure != nil && s.LastFailure.GetRetryAt().AsTime().Equal(s.ParkedUntil):
		return ParkRetry
	case s.Pending != nil && s.Pending.GetDeadline().AsTime().Equal(s.ParkedUntil):
		return ParkPending
	}
	return ParkOutage
}
