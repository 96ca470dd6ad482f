package gateway

import (
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// ReadNATS returns what a reply to the call means, without a server.
func (s *Set) ReadNATS(c *Call, m *nats.Msg) (*messages.StepReply, error) {
	t, err := s.targets.get(c.Target(), s.cfg.Directory)
	if err != nil {
		return nil, err
	}
	return (&pendingCall{set: s, call: c, target: t}).readNATS(m)
}
