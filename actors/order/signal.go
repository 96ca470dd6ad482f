package order

import "github.com/orderly-engine/orderly/messages"

// Limits on the signals that an order records without waiting for them, used ones included. What is recorded with the acceptance
// (Inbox.Stored) is far less.
const (
	maxKept = 256
	// maxKeptBytes bounds their names and data together.
	maxKeptBytes = 512 << 10
)

// awaits reports whether the order is parked until a signal of that name.
func (s *State) awaits(name string) bool {
	return s.Status == Parked && s.Pending != nil && s.Pending.GetSignal() == name
}

// hasRoom reports whether the order may keep another signal. Room never comes back: a reader that saw some cannot record a signal
// that another reader, who saw none before, made a dead letter.
func (s *State) hasRoom(signal *messages.SignalOrder) bool {
	return s.Kept < maxKept && s.KeptBytes+len(signal.GetName())+len(signal.GetData()) <= maxKeptBytes
}

func (s *State) signalled(e *messages.Signalled) string {
	if !s.awaits(e.GetName()) {
		s.Kept++
		s.KeptBytes += len(e.GetName()) + len(e.GetData())
	}
	s.Signals = append(s.Signals, e)
	return s.record(e.GetSource())
}

// unusedSignal returns the oldest recorded signal of that name that no step has used, or nil.
func (s *State) unusedSignal(name string) *messages.Signalled {
	for _, sig := range s.Signals {
		if sig.GetName() == name {
			return sig
		}
	}
	return nil
}
