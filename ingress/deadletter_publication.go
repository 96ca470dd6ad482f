package ingress

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natsclient"
)

// deadPublication is a dead letter that is being published. It implements natsclient.Publication.
type deadPublication struct {
	m *nats.Msg
	// acked is closed when ack and err are set.
	acked chan struct{}
	ack   jetstream.PubAck
	err   error
}

func (p *deadPublication) Size() int { return len(p.m.Data) }

func (p *deadPublication) Publish(nc *nats.Conn, to natsclient.ReplyTo, mark natsclient.Mark) error {
	return publishMarked(nc, p.m, to, mark)
}

func (p *deadPublication) Acked(ack jetstream.PubAck, err error) {
	p.ack, p.err = ack, err
	close(p.acked)
}
