package embedded

import (
	"time"

	"github.com/nats-io/nats.go"
)

// InProcess connects without a socket, for comparison.
func (s *Server) InProcess() nats.InProcessConnProvider { return s.server }

// Durability returns the sync settings of the server.
func (s *Server) Durability() (always bool, interval time.Duration) {
	c := s.server.JetStreamConfig()
	return c.SyncAlways, c.SyncInterval
}
