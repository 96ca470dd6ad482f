package ingress_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// oldServer answers requests to JetStream as a server of an older version does: it knows the level of its API, which is 0 for
// versions that do not state it, and the streams. Requests that change something are refused.
type oldServer struct {
	mu      sync.Mutex
	changes []string
}

func startOldServer(t *testing.T, accountInfo string, streamMetadata map[string]string) (*oldServer, jetstream.JetStream) {
	t.Helper()
	old := &oldServer{}
	s := natstest.Start(t, natstest.NoJetStream)
	nc := s.Connect()
	_, err := nc.Subscribe("$JS.API.>", func(m *nats.Msg) {
		reply := `{"error": {"code": 500, "err_code": 1, "description": "refused by the test"}}`
		switch operation := strings.TrimPrefix(m.Subject, "$JS.API."); {
		case operation == "INFO":
			reply = accountInfo
		case strings.HasPrefix(operation, "STREAM.INFO.") && streamMetadata == nil:
			reply = `{"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}`
		case strings.HasPrefix(operation, "STREAM.INFO."):
			metadata, _ := json.Marshal(streamMetadata)
			reply = fmt.Sprintf(`{"config": {"name": %q, "metadata": %s}}`, strings.TrimPrefix(operation, "STREAM.INFO."), metadata)
		default:
			old.mu.Lock()
			old.changes = append(old.changes, operation)
			old.mu.Unlock()
		}
		_ = m.Respond([]byte(reply))
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return old, s.JetStream()
}

func TestServerTooOld(t *testing.T) {
	for name, c := range map[string]struct {
		accountInfo string
		streams     map[string]string
		want        string
	}{
		"2.10":                      {accountInfo: `{}`},
		"2.11":                      {accountInfo: `{"api": {"level": 1}}`},
		"2.10, with streams":        {accountInfo: `{}`, streams: map[string]string{}},
		"2.11, with streams":        {accountInfo: `{}`, streams: map[string]string{"_nats.level": "1", "_nats.ver": "2.11.10"}, want: "found 2.11.10,"},
		"2.11 among later versions": {accountInfo: `{"api": {"level": 5}}`, streams: map[string]string{"_nats.level": "1", "_nats.ver": "2.11.10"}},
	} {
		old, js := startOldServer(t, c.accountInfo, c.streams)
		err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{})
		if !errors.Is(err, ingress.ErrServerVersion) || !strings.Contains(err.Error(), "want 2.12.0 or later") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
		old.mu.Lock()
		if len(old.changes) > 0 {
			t.Errorf("%s: the node sent %v", name, old.changes)
		}
		old.mu.Unlock()
	}
}

func TestServerOfTheLeastVersion(t *testing.T) {
	old, js := startOldServer(t, `{"api": {"level": 2}}`, nil)
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{}); errors.Is(err, ingress.ErrServerVersion) {
		t.Errorf("got %v", err)
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	if len(old.changes) != 1 || old.changes[0] != "STREAM.CREATE.ORDER_LEDGER" {
		t.Errorf("the node sent %v, want to create the first stream", old.changes)
	}
}

// TestOldServerInTheCluster: a server that is too old is found among those that the connection knows, before a stream is made that it
// might get.
func TestOldServerInTheCluster(t *testing.T) {
	s := natstest.Start(t)
	for name, c := range map[string]struct {
		info   string
		refuse bool
	}{
		"old":                     {`{"server_name":"s3","version":"2.11.10","jetstream":true}`, true},
		"old, without JetStream":  {`{"server_name":"s3","version":"2.11.10"}`, false},
		"old, in another cluster": {`{"server_name":"s3","version":"2.11.10","jetstream":true,"cluster":"other"}`, false},
		"new":                     {`{"server_name":"s3","version":"2.12.0","jetstream":true}`, false},
		"no INFO":                 {``, false},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan int, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "INFO "+c.info+"\r\n")
			b, _ := io.ReadAll(conn)
			received <- len(b)
			_ = conn.Close()
		}()
		js := natstest.JetStream(t, natstest.Connect(t, s.ClientURL()+",nats://"+l.Addr().String(), nats.DontRandomize()))
		err = ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{})
		if c.refuse != errors.Is(err, ingress.ErrServerVersion) || c.refuse != (err != nil) {
			t.Errorf("%s: got %v", name, err)
		}
		if c.refuse && err != nil && !strings.Contains(err.Error(), `found 2.11.10 ("s3"), want 2.12.0 or later on every server`) {
			t.Errorf("%s: got %v", name, err)
		}
		if n := natstest.Receive(t, received, "the end of the connection"); n != 0 {
			t.Errorf("%s: the server got %d bytes", name, n)
		}
		_ = l.Close()
		for _, stream := range streamNames {
			if err := js.DeleteStream(natstest.Context(t), stream); (err != nil) != c.refuse {
				t.Errorf("%s: delete stream %s: %v", name, stream, err)
			}
		}
	}
}

// TestServerVersionWithoutTheRight: a node that may create streams and may not ask for the level of the API starts.
func TestServerVersionWithoutTheRight(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "node", Password: "x", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.INFO"}},
		}}}
	})
	if err := ingress.EnsureStreams(natstest.Context(t), s.JetStream(nats.UserInfo("node", "x")), ingress.Streams{}); err != nil {
		t.Error(err)
	}
}

// TestStreamsOfAnOlderServerAreCompleted: a server before 2.12 dropped the features that it did not know from the streams of an
// interrupted start. What an operator changed since stays, and so do the messages.
func TestStreamsOfAnOlderServerAreCompleted(t *testing.T) {
	_, js := startServer(t)
	ctx := natstest.Context(t)
	features := map[string][2]bool{}
	for _, name := range streamNames {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		features[name] = [2]bool{cfg.AllowAtomicPublish, cfg.AllowMsgSchedules}
		if err := js.DeleteStream(ctx, name); err != nil {
			t.Fatal(err)
		}
		cfg.AllowAtomicPublish, cfg.AllowMsgSchedules = false, false
		cfg.Description, cfg.Metadata = "of the operator", map[string]string{"team": "orders"}
		if _, err := js.CreateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(ctx, messages.SubjectOrder+"o-1", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ensureStreams(t, js, testAckWait)
	}
	for _, name := range streamNames {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		if got := [2]bool{cfg.AllowAtomicPublish, cfg.AllowMsgSchedules}; got != features[name] {
			t.Errorf("%s: atomic publish and schedules are %v, want %v", name, got, features[name])
		}
		if cfg.Description != "of the operator" || cfg.Metadata["team"] != "orders" {
			t.Errorf("%s: description and metadata were set back: %+v", name, cfg)
		}
		if want := map[string]uint64{messages.StreamOrders: 1, messages.StreamLedger: 1}[name]; stream.CachedInfo().State.Msgs != want {
			t.Errorf("%s has %d messages, want %d", name, stream.CachedInfo().State.Msgs, want)
		}
	}
}

// TestMismatchIsNotCompleted: a stream that differs otherwise too is left alone.
func TestMismatchIsNotCompleted(t *testing.T) {
	js := natstest.Start(t).JetStream()
	ctx := natstest.Context(t)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: messages.StreamEvents, Subjects: []string{"ORDER_EVENT.*"}}); err != nil {
		t.Fatal(err)
	}
	err := ingress.EnsureStreams(ctx, js, ingress.Streams{})
	if !errors.Is(err, ingress.ErrConfigMismatch) || !strings.Contains(err.Error(), "allow_atomic: want true, found false") {
		t.Errorf("got %v", err)
	}
	if stream, err := js.Stream(ctx, messages.StreamEvents); err != nil || stream.CachedInfo().Config.AllowAtomicPublish {
		t.Errorf("the stream was changed: %v", err)
	}
}
