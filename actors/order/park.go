package order

// ParkCause is what a parked order waits for.
type ParkCause string

// Causes of a park.
const (
	// ParkPending: the step that answered pending waits for its signal.
	ParkPending ParkCause = "pending"
	// ParkRetry: a call that failed is attempted again.
	ParkRetry ParkCause = "retry"
	// ParkOutage: the service of the next call is unavailable, or a limit has no permit.
	ParkOutage ParkCause = "outage"
)

// ParkedFor is the cause of the current park, or "". It follows from the timer: a park for a signal ends with the deadline
// of the pending step, one for a retry at the failed attempt's RetryAt.
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
