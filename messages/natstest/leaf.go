package natstest

import (
	"net"
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// LeafDomain is the JetStream domain of the hub of Leaf.
const LeafDomain = "hub"

// Leaf starts a hub and a leaf node that is connected to it. Each has its own JetStream; clients of the leaf reach the hub's
// by its domain, LeafDomain.
func Leaf(t testing.TB, options ...Option) (hub, leaf *Server) {
	t.Helper()
	port := FreePort(t)
	hub = Start(t, append([]Option{func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "hub", LeafDomain
		o.LeafNode = server.LeafNodeOpts{Host: "127.0.0.1", Port: port}
	}}, options...)...)
	leaf = Start(t, append([]Option{func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "leaf", "leaf"
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}}}}
	}}, options...)...)
	Eventually(t, "the leaf node is connected", func() bool { return hub.NumLeafNodes() == 1 && leaf.NumLeafNodes() == 1 })
	return hub, leaf
}

// WaitForInterest waits until the server knows a subscriber of each subject: a leaf node learns of those of its hub, such as new
// streams, a moment later, and until then answers that there is none.
func (s *Server) WaitForInterest(subjects ...string) {
	s.t.Helper()
	for _, subject := range subjects {
		Eventually(s.t, "the server knows a subscriber of "+subject, func() bool { return s.GlobalAccount().Interest(subject) > 0 })
	}
}
