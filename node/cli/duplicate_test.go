package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	goclient "github.com/orderly-engine/orderly/node/engine/client"
)

// TestValidOrderAfterInvalidOne: an invalid order with the order's id as Nats-Msg-Id does not prevent the valid one,
// published by any client; a different order with the same id is a dead letter that reports the conflict.
func TestValidOrderAfterInvalidOne(t *testing.T) {
	t.Parallel()
	p := demoNode(t)
	nc := p.connect(t)
	js := natstest.JetStream(t, nc)
	c, err := goclient.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	take := map[string]func(body string){
		"http": func(body string) {
			if a := p.post(t, "/v1/orders", body); a.code != http.StatusAccepted || a.header.Get("Location") != "/v1/orders/http" {
				t.Errorf("%d, Location %q: %s", a.code, a.header.Get("Location"), a.body)
			}
		},
		"command": func(body string) {
			const want = "0 orders stored, 1 duplicate in "
			if got := p.publish(t, body); got.code != exitOK || !strings.HasPrefix(got.out, want) {
				t.Errorf("exit code %d\n%s%s\nwant %s…", got.code, got.out, got.err, want)
			}
		},
		"client": func(body string) {
			var o engine.Order
			err := json.Unmarshal([]byte(body), &o)
			if err == nil {
				err = c.Create(t.Context(), o)
			}
			if err != nil {
				t.Error(err)
			}
		},
	}
	for id, publish := range take {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "ORDER." + id, Header: header(nats.MsgIdHdr, id), Data: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		p.waitDeadLetters(t, 1, "--order", id)
		publish(sampleOrder(id))
		p.waitStatus(t, id, "completed")
		publish(sampleOrder(id))
		publish(strings.NewReplacer(":9.5", ":9", ":19,", ":18,").Replace(sampleOrder(id)))
		if l := p.waitDeadLetters(t, 2, "--order", id)[1]; !strings.Contains(l.Reason, "exists with different content") {
			t.Errorf("dead letter: %s", l.Reason)
		}
	}
	want := report{}
	want.Orders.Accepted, want.Orders.Completed = 3, 3
	want.Inbox.EverStored, want.Inbox.Accepted, want.Inbox.DeadLettered, want.Inbox.WithoutEffect = 12, 3, 6, 3
	want.Dead.Messages = 6
	p.requireBalanced(t, want)
}

// TestInvalidSignalData: data that would become a dead letter is refused before the command connects.
func TestInvalidSignalData(t *testing.T) {
	for data, want := range map[string]string{
		strings.Repeat("[", 65) + strings.Repeat("]", 65):           "nests deeper than 64 levels",
		strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65): "nests deeper than 64 levels",
		strings.Repeat("[", 100_000):                                "nests deeper than 64 levels",
		`"` + strings.Repeat("x", messages.MaxBody-2) + `"`:         "at most 262144 are allowed",
		`"` + strings.Repeat("x", messages.MaxBody) + `"`:           "at most 262144 are allowed",
		"": "is empty: leave JSON out",
		strings.Repeat("[", 40) + strings.Repeat(`{"a":`, 20) + "nil": `signal data "[`,
	} {
		got := command(t, noServer, "", "signal", "o-1", "x", data)
		requireFailure(t, got, exitUsage, want)
		if len(got.err) > 1000 {
			t.Errorf("%d bytes on standard error", len(got.err))
		}
	}
	for _, data := range []string{strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64)} {
		requireFailure(t, command(t, noServer, "", "signal", "o-1", "x", data), exitFailed, "cannot reach NATS")
	}
}
