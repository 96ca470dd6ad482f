package downstream

import (
	"errors"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// maxSetupFaults bounds the memory of a setupFaults: twice as many orders at most.
const maxSetupFaults = 1024

// setupFaults tells a service whose set-up is at fault from an order that alone gets such answers: a service that has replied
// to other orders between two faults of one order works. The limiter's lock guards it; the zero value is ready.
type setupFaults struct {
	// replies counts the replies of the service.
	replies uint64
	// at is replies as of the latest fault of each order; older is the previous generation, dropped when at is full. An order
	// that is forgotten gets one more deferral.
	at, older map[messages.OrderID]uint64
}

// replied registers a reply to order, whose earlier faults count no longer: they were those of another call, or are over.
func (s *setupFaults) replied(order messages.OrderID) {
	s.replies++
	delete(s.at, order)
	delete(s.older, order)
}

// failed registers a fault that order met, and reports whether the order is the cause.
func (s *setupFaults) failed(order messages.OrderID) bool {
	before, known := s.at[order]
	if !known {
		before, known = s.older[order]
	}
	s.put(order)
	return known && s.replies > before
}

func (s *setupFaults) put(order messages.OrderID) {
	if s.at == nil || len(s.at) >= maxSetupFaults {
		s.at, s.older = map[messages.OrderID]uint64{}, s.at
	}
	s.at[order] = s.replies
}

// opened forgets all faults when the circuit opens: they were those of the outage, and the replies after it prove nothing.
func (s *setupFaults) opened() { s.at, s.older = nil, nil }

// isSetup reports whether err is a fault of the set-up.
func isSetup(err error) bool {
	var f *delivery.Failure
	return errors.As(err, &f) && f.Kind == messages.Setup
}
