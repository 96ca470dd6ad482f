package ingress

import (
	"bufio"
	"cmp"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// infoTimeout bounds the wait for what a server of the cluster says of itself.
const infoTimeout = time.Second

// serverInfo is what a NATS server says of itself at the begin of each connection, before it knows its client.
type serverInfo struct {
	Name      string `json:"server_name"`
	Version   string `json:"version"`
	Cluster   string `json:"cluster"`
	JetStream bool   `json:"jetstream"`
}

// olderInCluster returns a server with JetStream that is too old, of the connected server's cluster; nil if none is known. It dials
// the servers that the connection knows, and sends them nothing. Servers that do not answer in time are left out.
func olderInCluster(js jetstream.JetStream) *serverInfo {
	if o := js.Options(); o.Domain != "" || o.APIPrefix != "" {
		return nil // the streams may be in another cluster
	}
	nc := js.Conn()
	var (
		mu    sync.Mutex
		older *serverInfo
		asked sync.WaitGroup
	)
	for _, server := range nc.Servers() {
		u, err := url.Parse(server)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == hostOf(nc.ConnectedUrl()) {
			continue
		}
		asked.Go(func() {
			info := askInfo(nc.Opts, u.Host)
			if info != nil && info.JetStream && info.Cluster == nc.ConnectedClusterName() && OlderServer(info.Version) {
				mu.Lock()
				older = info
				mu.Unlock()
			}
		})
	}
	asked.Wait()
	return older
}

func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return u.Host
}

// askInfo returns nil if the server does not answer.
func askInfo(o nats.Options, address string) *serverInfo {
	dialer := o.CustomDialer
	if dialer == nil {
		dialer = &net.Dialer{Timeout: infoTimeout}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }() // only read
	if err := conn.SetReadDeadline(time.Now().Add(infoTimeout)); err != nil {
		return nil
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	body, ok := strings.CutPrefix(line, "INFO ")
	var info serverInfo
	if err != nil || !ok || json.Unmarshal([]byte(body), &info) != nil {
		return nil
	}
	info.Name = cmp.Or(info.Name, address)
	return &info
}
