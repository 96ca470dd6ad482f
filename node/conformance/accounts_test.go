package conformance_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// accounts is a NATS server with an account, and so with streams of its own, for each line.
type accounts struct {
	*natstest.Server
	next atomic.Int32
}

const password = "conformance"

func newAccounts(t *testing.T, n int) *accounts {
	t.Helper()
	s := natstest.Start(t, func(o *server.Options) {
		system := server.NewAccount("SYS")
		o.Accounts, o.SystemAccount = append(o.Accounts, system), system.Name
		o.AuthTimeout = natstest.Patience.Seconds()
		o.JetStreamMaxStore = 1 << 50 // each account reserves room for its dead letters
		for i := range n {
			a := server.NewAccount("line-" + strconv.Itoa(i))
			o.Accounts = append(o.Accounts, a)
			o.Users = append(o.Users, &server.User{Username: a.Name, Password: password, Account: a})
		}
	})
	return &accounts{Server: s}
}

// open gives the next account JetStream, and returns a user of it.
func (a *accounts) open(t *testing.T) nats.Option {
	t.Helper()
	name := "line-" + strconv.Itoa(int(a.next.Add(1)-1))
	account, err := a.LookupAccount(name)
	if err == nil {
		err = account.EnableJetStream(nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := account.DisableJetStream(); err != nil { // frees the memory of its streams
			t.Error(err)
		}
	})
	return nats.UserInfo(name, password)
}

// ownServer is a server of one line with two users: one of the services and clients, and one of the node.
type ownServer struct {
	*natstest.Server
	options *server.Options
}

func newOwnServer(t *testing.T, change func(*server.Options)) *ownServer {
	t.Helper()
	s := &ownServer{}
	s.Server = natstest.Start(t, func(o *server.Options) {
		s.options = o
		o.AuthTimeout = natstest.Patience.Seconds()
		o.Users = []*server.User{{Username: "user", Password: password}, {Username: "node", Password: password}}
	}, change)
	return s
}

// reload changes the options of the running server.
func (s *ownServer) reload(t *testing.T, change func(*server.Options)) {
	t.Helper()
	o := s.options.Clone()
	change(o)
	if err := s.ReloadOptions(o); err != nil {
		t.Fatal(err)
	}
}
