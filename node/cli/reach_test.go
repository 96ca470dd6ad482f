package cli

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// runAllCommands runs an order through a demo node, and the commands that ask NATS.
func runAllCommands(t *testing.T, server *natstest.Server, environ ...string) {
	t.Helper()
	p := start(t, []string{"--demo"}, environ...)
	server.WaitForInterest(messages.SubjectOrder+"o-1", messages.SubjectEvent+"o-1")
	clients := append(p.environ, environ...)
	got := command(t, clients, samples("o-1"), "publish", "--wait", "-")
	if got.code != exitOK || !strings.Contains(got.out+got.err, "completed") {
		t.Fatalf("publish --wait: exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if out := ok(t, clients, "get", "o-1"); !strings.Contains(out, "completed") {
		t.Errorf("get: %s", out)
	}
	if got := status(t, p.http+"/v1/orders/o-1"); got != 200 {
		t.Errorf("GET /v1/orders/o-1 answered %d", got)
	}
	eventually(t, "the index has the order", func() (bool, any) {
		got := command(t, clients, "", "list")
		return strings.Contains(got.out, "o-1"), got.out + got.err
	})
	if out := ok(t, clients, "verify"); !strings.Contains(out, "balanced") {
		t.Errorf("verify: %s", out)
	}
	for _, args := range [][]string{{"dead", "list"}, {"repair"}, {"cancel", "o-1"}, {"cancel", "--all", "--status", "attention", "--dry-run"}, {"demo", "stats"}} {
		if got := command(t, clients, "", args...); got.code != exitOK {
			t.Errorf("%v: exit code %d\n%s%s", args, got.code, got.out, got.err)
		}
	}
	if strings.Contains(p.err.String(), "ermissions") {
		t.Errorf("the node lacks permissions: %s", p.err)
	}
}

// TestInboxPrefix: under permissions that allow replies on one inbox prefix only, a node and every command work.
func TestInboxPrefix(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "node", Password: "x", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Allow: []string{"INBOX.node.>", "ORDERLY.>", "demo.>", "inventory.>", "payments.>", "shipping.>", "$SRV.>"}},
		}}}
	})
	url := "NATS_URL=" + strings.Replace(s.ClientURL(), "nats://", "nats://node:x@", 1)
	runAllCommands(t, s, url, "NATS_INBOX_PREFIX=INBOX.node")
	for _, prefix := range []string{"_INBOX", "INBOX.other"} {
		p := startNoWait(t, nil, url, "NATS_INBOX_PREFIX="+prefix)
		if code := p.wait(t); code != exitFailed || !strings.Contains(lastLine(p.err.String()), "permissions are missing: to subscribe to "+prefix+".>") {
			t.Errorf("prefix %s: exit code %d, want the permission to be missing\n%s", prefix, code, p.err)
		}
	}
}

// TestDomainAndAPIPrefix: a node and every command on a leaf node use the streams of the hub.
func TestDomainAndAPIPrefix(t *testing.T) {
	t.Parallel()
	for _, environ := range []string{"NATS_JS_DOMAIN=" + natstest.LeafDomain, "NATS_JS_API_PREFIX=$JS." + natstest.LeafDomain + ".API"} {
		hub, leaf := natstest.Leaf(t)
		runAllCommands(t, leaf, "NATS_URL="+leaf.ClientURL(), environ)
		if _, err := hub.JetStream().Stream(natstest.Context(t), messages.StreamOrders); err != nil {
			t.Errorf("%s: the hub has no streams: %v", environ, err)
		}
		if _, err := leaf.JetStream().Stream(natstest.Context(t), messages.StreamOrders); err == nil {
			t.Errorf("%s: the leaf node has streams", environ)
		}
	}
}
