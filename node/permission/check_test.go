package permission_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/permission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

var uses = permission.Uses{Calls: []string{"pay.do", "pay.undo"}}

func api(operation string) string { return jetstream.DefaultAPIPrefix + operation }

// start starts a server with an administrator, and a user with the permissions.
func start(t *testing.T, p permission.Permissions) (admin, user *nats.Conn) {
	t.Helper()
	permissions := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Published(api)},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}
	for _, s := range []*server.SubjectPermission{permissions.Publish, permissions.Subscribe} {
		if len(s.Allow) == 0 {
			s.Deny = []string{">"}
		}
	}
	if p.Respond {
		permissions.Response = &server.ResponsePermission{MaxMsgs: server.DEFAULT_ALLOW_RESPONSE_MAX_MSGS, Expires: server.DEFAULT_ALLOW_RESPONSE_EXPIRATION}
	}
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "pw"}, {Username: "user", Password: "pw", Permissions: permissions}}
	})
	return s.Connect(nats.UserInfo("admin", "pw")), s.Connect(nats.UserInfo("user", "pw"))
}

func TestCheckFindsNothingMissing(t *testing.T) {
	t.Parallel()
	for _, role := range []permission.Role{permission.Engine, permission.Operator} {
		p := permission.Of(role, uses)
		_, user := start(t, p)
		if err := p.Check(natstest.Context(t), natstest.JetStream(t, user)); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// TestCheckNamesEachMissing: every permission that is left out is named, alone and with all others.
func TestCheckNamesEachMissing(t *testing.T) {
	t.Parallel()
	want := permission.Of(permission.Engine, uses)
	check := func(t *testing.T, has permission.Permissions, missing permission.Missing) {
		t.Helper()
		_, user := start(t, has)
		err := want.Check(natstest.Context(t), natstest.JetStream(t, user))
		var got *permission.Missing
		if !errors.As(err, &got) || !errors.Is(err, permission.ErrMissing) || !slices.Equal(got.Publish, missing.Publish) ||
			!slices.Equal(got.Subscribe, missing.Subscribe) || got.Respond != missing.Respond {
			t.Errorf("got %v, want %v", err, &missing)
		}
		for _, subject := range append(missing.Publish, missing.Subscribe...) {
			if err == nil || !strings.Contains(err.Error(), subject) {
				t.Errorf("%s is not named: %v", subject, err)
			}
		}
	}
	without := func(all []string, i int) []string { return slices.Delete(slices.Clone(all), i, i+1) }
	for i, operation := range want.API {
		has := want
		has.API = without(want.API, i)
		check(t, has, permission.Missing{Publish: []string{api(operation)}})
	}
	for i, operation := range want.Setup {
		has := want
		has.Setup = without(want.Setup, i)
		check(t, has, permission.Missing{Publish: []string{api(operation)}})
	}
	for i, subject := range want.Publish {
		has := want
		has.Publish = without(want.Publish, i)
		check(t, has, permission.Missing{Publish: []string{subject}})
	}
	for i, subject := range want.Subscribe {
		has := want
		has.Subscribe = without(want.Subscribe, i)
		check(t, has, permission.Missing{Subscribe: []string{subject}})
	}
	has := want
	has.Respond = false
	check(t, has, permission.Missing{Respond: true})
	check(t, permission.Permissions{}, permission.Missing{Publish: want.Published(api), Subscribe: want.Subscribe})
}

// TestCheckLeavesNothing: neither the streams nor the services notice a check, whether it finds something missing or not.
func TestCheckLeavesNothing(t *testing.T) {
	t.Parallel()
	want := permission.Of(permission.Engine, uses)
	has := want
	has.Publish = slices.DeleteFunc(slices.Clone(want.Publish), func(s string) bool { return s == "pay.undo" })
	for _, p := range []permission.Permissions{want, has} {
		admin, user := start(t, p)
		js := natstest.JetStream(t, admin)
		if err := ingress.EnsureStreams(t.Context(), js, ingress.Streams{}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), messages.SubjectOrder+"o-1", nil); err != nil {
			t.Fatal(err)
		}
		seen := make(chan *nats.Msg, 100)
		for _, subject := range []string{"pay.>", "ORDER.*", "ORDER_EVENT.*", "$JS.EVENT.ADVISORY.API.>"} {
			if _, err := admin.ChanSubscribe(subject, seen); err != nil {
				t.Fatal(err)
			}
		}
		if err := admin.Flush(); err != nil {
			t.Fatal(err)
		}
		before := state(t, js)
		if err := want.Check(natstest.Context(t), natstest.JetStream(t, user)); (err == nil) != (len(p.Publish) == len(want.Publish)) {
			t.Errorf("got %v", err)
		}
		if err := admin.Flush(); err != nil { // what was sent before has arrived
			t.Fatal(err)
		}
		after := state(t, js)
		for range len(seen) {
			m := <-seen
			if !strings.HasPrefix(m.Subject, "$JS.EVENT.") || strings.Contains(string(m.Data), `"user":"user"`) {
				t.Errorf("the check sent %q to %s", m.Data, m.Subject)
			}
		}
		if after != before {
			t.Errorf("streams were %v, are %v", before, after)
		}
	}
}

// TestSetupIsNotNeededAgain: where the streams exist, a node may not be allowed to make them.
func TestSetupIsNotNeededAgain(t *testing.T) {
	t.Parallel()
	want := permission.Of(permission.Engine, uses)
	has := want
	has.Setup = nil
	admin, user := start(t, has)
	js := natstest.JetStream(t, user)
	var missing *permission.Missing
	if err := want.Check(natstest.Context(t), js); !errors.As(err, &missing) || len(missing.Publish) != len(want.Setup) {
		t.Errorf("without streams: %v", err)
	}
	if err := ingress.EnsureStreams(t.Context(), natstest.JetStream(t, admin), ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
	if err := want.Check(natstest.Context(t), js); err != nil {
		t.Errorf("with streams: %v", err)
	}
	if err := ingress.EnsureStreams(t.Context(), js, ingress.Streams{}); err != nil {
		t.Error(err)
	}
}

// state describes each stream.
func state(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var all []string
	for _, name := range []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead, messages.StreamPlans} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%+v", s.CachedInfo().State))
	}
	return strings.Join(all, "\n")
}
