package natsclient_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// publication is a message on a subject; acked takes its result.
type publication struct {
	subject string
	acked   chan error
}

func (p *publication) Size() int { return 1 }

func (p *publication) Publish(nc *nats.Conn, to natsclient.ReplyTo, _ natsclient.Mark) error {
	return nc.PublishMsg(&nats.Msg{Subject: p.subject, Reply: to.String()})
}

func (p *publication) Acked(_ jetstream.PubAck, err error) { p.acked <- err }

// A message whose ack is lost may be stored or not: the Publisher reports neither success nor ErrNotSent.
func TestLostAckIsReported(t *testing.T) {
	s := natstest.Start(t, natstest.NoJetStream)
	serve(t, s.Connect(), "silent", func(*nats.Msg) {})
	for name, batch := range map[string]bool{"single": false, "batch": true} {
		t.Run(name, func(t *testing.T) {
			p, err := natsclient.NewPublisher(s.Connect(), natsclient.PublisherConfig{
				Config: natsclient.Config{Timeout: 20 * time.Millisecond}, Batch: batch,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			// More than the Publisher publishes one by one. Those that wait behind the first ones become a batch.
			const n = 100
			acked := make(chan error, n)
			for range n {
				p.Publish(&publication{"silent", acked})
			}
			for range n {
				err := natstest.Receive(t, acked, "the result of a message")
				if !errors.Is(err, natsclient.ErrNoReply) || errors.Is(err, natsclient.ErrNotSent) {
					t.Fatalf("got %v, want ErrNoReply", err)
				}
			}
		})
	}
}
