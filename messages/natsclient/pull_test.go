package natsclient_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// pullLog records what a PullSession receives.
type pullLog chan string

func (l pullLog) HandleMsg(_ *natsclient.PullSession, m *nats.Msg) { l <- "message " + string(m.Data) }

func (l pullLog) HandleStatus(_ *natsclient.PullSession, s natsclient.PullStatus) {
	l <- fmt.Sprintf("heartbeat %t, void %t, gone %t, unfulfilled %d: %s", s.Heartbeat, s.Void, s.ConsumerGone, s.Unfulfilled, s.Text)
}

// The test answers a pull request with every kind of status. Messages need a real stream: a server lets no client send its
// reply subjects.
func TestPullStatus(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	status := func(code, description, pending string) *nats.Msg {
		h := nats.Header{"Status": {code}, "Description": {description}}
		if pending != "" {
			h["Nats-Pending-Messages"] = []string{pending}
		}
		return &nats.Msg{Header: h}
	}
	requests := make(chan string, 1)
	if _, err := nc.Subscribe("$JS.API.CONSUMER.MSG.NEXT.ORDERS.orderly", func(r *nats.Msg) {
		requests <- string(r.Data)
		for _, m := range []*nats.Msg{
			status("100", "Idle Heartbeat", ""), status("408", "Request Timeout", "7"),
			status("409", "Leadership Change", ""), status("409", "Consumer Deleted", ""), status("503", "", ""),
		} {
			m.Subject = r.Reply
			if err := nc.PublishMsg(m); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	got := make(pullLog, 10)
	s, err := natsclient.NewAPI(natstest.JetStream(t, nc)).OpenPull("ORDERS", "orderly", got)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Request(9); err != nil {
		t.Fatal(err)
	}
	const request = `{"batch":9,"max_bytes":4194304,"expires":30000000000,"idle_heartbeat":5000000000}`
	if r := natstest.Receive(t, requests, "the pull request"); r != request {
		t.Errorf("request %s, want %s", r, request)
	}
	for _, want := range []string{
		"heartbeat true, void false, gone false, unfulfilled 0: 100 Idle Heartbeat",
		"heartbeat false, void false, gone false, unfulfilled 7: 408 Request Timeout",
		"heartbeat false, void true, gone false, unfulfilled 0: 409 Leadership Change",
		"heartbeat false, void true, gone true, unfulfilled 0: 409 Consumer Deleted",
		"heartbeat false, void true, gone true, unfulfilled 0: 503",
	} {
		if g := natstest.Receive(t, got, "a status"); g != want {
			t.Errorf("got  %s\nwant %s", g, want)
		}
	}
	s.Drain()
	natstest.Receive(t, s.Closed(), "the end of the session")
}

func TestNakAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "-NAK", 0: "-NAK", time.Second: `-NAK {"delay": 1000000000}`} {
		if got := string(natsclient.NakAfter(d)); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
