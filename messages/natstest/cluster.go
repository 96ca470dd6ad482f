package natstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster starts three servers with routes between them, and waits until one of them leads all three. Shortly after the
// start JetStream may refuse a request or not answer it: repeat the first ones until they succeed.
func Cluster(t testing.TB, options ...Option) []*Server {
	t.Helper()
	ports, routes := make([]int, 3), make([]string, 3)
	for i := range ports {
		ports[i] = FreePort(t)
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	servers := make([]*Server, len(ports))
	var starting sync.WaitGroup
	for i, port := range ports {
		servers[i] = newServer(t, append([]Option{func(o *server.Options) {
			o.ServerName = fmt.Sprintf("s%d", i+1)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port, NoAdvertise: true}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}}, options...)...)
		starting.Go(servers[i].Start)
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	Eventually(t, "a leader of three servers", func() bool {
		return slices.ContainsFunc(servers, func(s *Server) bool { return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 })
	})
	return servers
}
