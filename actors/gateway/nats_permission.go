package gateway

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// refusedByServer ends the calls that the server does not permit. It refuses asynchronously: without this, they would end with a
// time-out.
func (g *natsGateway) refusedByServer(v natsclient.Violation) {
	if v.Publish {
		g.publishRefused(v.Subject)
	} else {
		g.inboxRefused(v.Subject)
	}
}

// publishRefused fails the calls in flight on a subject: they did not reach the service.
func (g *natsGateway) publishRefused(subject string) {
	for _, p := range g.set.removeAll(func(t *target) bool { return t.subject == subject }) {
		p.finish(nil, p.fail(messages.Setup, false,
			"NATS refuses messages from this node to %s: permit its user to publish to that subject", subject))
	}
}

// inboxRefused fails all calls in flight over NATS: their services may have received them, but no reply can be. The next call
// subscribes again.
func (g *natsGateway) inboxRefused(subject string) {
	g.mu.Lock()
	r := g.requester.Load()
	if r == nil || r.Inbox() != subject {
		g.mu.Unlock()
		return
	}
	g.requester.Store(nil)
	g.refused.Add(1)
	g.mu.Unlock()
	defer g.refused.Done()
	calls := g.set.removeAll(func(t *target) bool { return t.subject != "" })
	r.Close()
	for _, p := range calls {
		p.finish(nil, p.fail(messages.Setup, true,
			"NATS refuses replies to this node: permit its user to subscribe to %s", subject))
	}
}
