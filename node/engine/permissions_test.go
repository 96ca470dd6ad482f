package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/permission"
)

// guarded is a server on which the user engine has permissions, and every other connection all.
type guarded struct {
	*server
	options *natsserver.Options
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{}
	s := natstest.Start(t, func(o *natsserver.Options) {
		o.NoAuthUser = "admin"
		o.Users = users(permission.Core(permission.Uses{}))
		g.options = o
	})
	g.server = &server{s, t, s.JetStream()}
	return g
}

func users(p permission.Permissions) []*natsserver.User {
	published := p.Published(func(operation string) string { return "$JS.API." + operation })
	return []*natsserver.User{{Username: "admin", Password: "pw"}, {Username: "engine", Password: "pw", Permissions: &natsserver.Permissions{
		Publish: &natsserver.SubjectPermission{Allow: published}, Subscribe: &natsserver.SubjectPermission{Allow: p.Subscribe},
	}}}
}

func (g *guarded) connect() *nats.Conn { return g.Connect(nats.UserInfo("engine", "pw")) }

// permit gives the user engine the permissions of an engine without those subjects.
func (g *guarded) permit(without ...string) {
	g.t.Helper()
	p := permission.Core(permission.Uses{})
	p.Publish = slices.DeleteFunc(p.Publish, func(s string) bool { return slices.Contains(without, s) })
	options := g.options.Clone()
	options.Users = users(p)
	if err := g.ReloadOptions(options); err != nil {
		g.t.Fatal(err)
	}
}

// TestStartNamesMissingPermissions: one error names them all, and nothing is made.
func TestStartNamesMissingPermissions(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.permit("ORDER_EVENT.*", "$JS.ACK.>")
	_, err := engine.New(t.Context(), g.connect(), sim("sim:"), engine.Config{})
	if !errors.Is(err, engine.ErrPermissions) || !strings.Contains(err.Error(), "ORDER_EVENT.*, $JS.ACK.>; ") || strings.Contains(err.Error(), "ORDER_TIMER") {
		t.Errorf("got %v", err)
	}
	if names := g.js.StreamNames(t.Context()); len(names.Name()) > 0 {
		t.Error("streams were made")
	}
}

// TestPermissionsTakenAway: the engine is unready while permissions are missing, and what failed says which.
func TestPermissionsTakenAway(t *testing.T) {
	t.Parallel()
	for _, lost := range []struct{ subject, cause string }{
		{"ORDER_EVENT.*", "the server refused the message: permit this user to publish to ORDER_EVENT."},
		{"$JS.ACK.>", "the acknowledgement of message "},
		{"ORDER_DEAD.*", "publish: publish ack timed out; the message may be stored; retry: the server refused the message: permit this user to publish to ORDER_DEAD.unreadable"},
	} {
		t.Run(lost.subject, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			var monitor health.Monitor
			var log lockedBuffer
			r := g.startOn(g.connect(), sim("sim:"), engine.Config{Health: &monitor, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			natstest.Eventually(t, "ready", r.Ready)
			g.permit(lost.subject)
			ids := g.publishOrders(3)
			if _, err := g.js.Publish(t.Context(), messages.SubjectOrder+"unreadable", []byte("no order")); err != nil {
				t.Fatal(err)
			}
			natstest.Eventually(t, "not ready", func() bool {
				err := monitor.Err()
				return !r.Ready() && err != nil && strings.Contains(err.Error(), "NATS permissions are missing: to publish to "+lost.subject)
			})
			natstest.Eventually(t, "the failure names the permission", func() bool {
				return strings.Contains(fmt.Sprint(log.String(), monitor.Err()), lost.cause)
			})
			g.permit()
			natstest.Eventually(t, "ready again", r.Ready)
			g.untilEmpty()
			g.checkCompleted(ids)
			if t.Failed() {
				t.Log(log.String())
			}
		})
	}
}
