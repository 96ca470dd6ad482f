package gateway

import (
	"errors"
	"regexp"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// errorHooks are the connections whose error handler passes permission violations on to the gateways that use them. nats.go
// has one handler per connection; several Sets may share a connection.
var errorHooks = struct {
	mu   sync.Mutex
	byNC map[*nats.Conn]*errorHook
}{byNC: map[*nats.Conn]*errorHook{}}

// errorHook is the error handler of one connection. errorHooks.mu guards it.
type errorHook struct {
	previous nats.ErrHandler
	users    map[*natsGateway]struct{}
}

// hookErrors makes the error handler of the connection report permission violations to g. The server refuses a publish or a
// subscription asynchronously: without the report, the call would end with a time-out.
func (g *natsGateway) hookErrors() {
	errorHooks.mu.Lock()
	defer errorHooks.mu.Unlock()
	h := errorHooks.byNC[g.nc]
	if h == nil {
		h = &errorHook{previous: g.nc.ErrorHandler(), users: map[*natsGateway]struct{}{}}
		errorHooks.byNC[g.nc] = h
		g.nc.SetErrorHandler(h.handle)
	}
	h.users[g] = struct{}{}
}

// unhookErrors undoes hookErrors; the last gateway restores the handler that was there before.
func (g *natsGateway) unhookErrors() {
	errorHooks.mu.Lock()
	defer errorHooks.mu.Unlock()
	h := errorHooks.byNC[g.nc]
	if h == nil {
		return
	}
	delete(h.users, g)
	if len(h.users) == 0 {
		delete(errorHooks.byNC, g.nc)
		g.nc.SetErrorHandler(h.previous)
	}
}

func (h *errorHook) handle(nc *nats.Conn, sub *nats.Subscription, err error) {
	if subject, publish, ok := violation(err); ok {
		errorHooks.mu.Lock()
		users := make([]*natsGateway, 0, len(h.users))
		for g := range h.users {
			users = append(users, g)
		}
		errorHooks.mu.Unlock()
		for _, g := range users {
			if publish {
				g.publishRefused(subject)
			} else {
				g.inboxRefused(subject)
			}
		}
	}
	if h.previous != nil {
		h.previous(nc, sub, err)
	}
}

var violationText = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to ("(?:[^"\\]|\\.)*")`)

// violation returns the subject that the server refused, and whether it refused a publish or a subscription.
func violation(err error) (subject string, publish, ok bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return "", false, false
	}
	found := violationText.FindStringSubmatch(err.Error())
	if found == nil {
		return "", false, false
	}
	subject, err = strconv.Unquote(found[2])
	return subject, found[1][0]|' ' == 'p', err == nil
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
