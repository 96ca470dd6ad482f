package permission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// ErrMissing is wrapped by the error of Check when the server refuses something that the user needs.
var ErrMissing = errors.New("NATS permissions are missing")

// Missing are the subjects that a server refuses to a user. It is an error that wraps ErrMissing and names them all.
type Missing struct {
	Publish, Subscribe []string
	// Respond: the user may not reply to requests.
	Respond bool
}

func (m *Missing) Error() string {
	var all []string
	if len(m.Publish) > 0 {
		all = append(all, "to publish to "+strings.Join(m.Publish, ", "))
	}
	if len(m.Subscribe) > 0 {
		all = append(all, "to subscribe to "+strings.Join(m.Subscribe, ", "))
	}
	if m.Respond {
		all = append(all, "to reply to requests (allow_responses)")
	}
	return fmt.Sprintf(`%v: %s; "orderly permissions --role engine" prints what a node needs`, ErrMissing, strings.Join(all, "; "))
}

func (m *Missing) Unwrap() error { return ErrMissing }

// Check tries every permission on the connection of js; the error is a *Missing with all that the server refuses, or says why they
// could not be tried. Permissions for the set-up may be missing once the streams exist.
//
// Nothing is stored, no service is called and no operation carried out: a server checks the permission of a message that is
// only to be traced, or that has a reply subject of the server's own, and delivers neither. A permission to reply is tried
// with an invalid query for orders.
func (p Permissions) Check(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c := &checker{ctx: ctx, nc: js.Conn()}
	published := p.Published(natsclient.NewAPI(js).Subject)
	if c.anyRefused(published) {
		c.tryEach(published)
	}
	c.trySubscribing(p.Subscribe)
	if p.Setup != nil && len(c.missing.Publish) > 0 {
		c.missing.Publish = p.withoutSetup(ctx, js, c.missing.Publish)
	}
	none := len(c.missing.Publish)+len(c.missing.Subscribe) == 0
	if p.Respond && none {
		c.tryResponding()
	}
	switch {
	case c.err != nil:
		return fmt.Errorf("try NATS permissions: %w", c.err)
	case !none || c.missing.Respond:
		return &c.missing
	}
	return nil
}

// withoutSetup removes the subjects of the set-up if all streams and their consumers exist.
func (p Permissions) withoutSetup(ctx context.Context, js jetstream.JetStream, subjects []string) []string {
	api := natsclient.NewAPI(js)
	setup := Permissions{Setup: p.Setup}.Published(api.Subject)
	rest := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { return slices.Contains(setup, s) })
	for _, operation := range append(each("STREAM.INFO.", streams, ""), each("CONSUMER.INFO.", consumed, "."+messages.Consumer)...) {
		if slices.Contains(rest, api.Subject(operation)) {
			return subjects // it cannot be seen
		}
	}
	for _, stream := range streams {
		if _, err := js.Stream(ctx, stream); err != nil {
			return subjects
		}
	}
	for _, stream := range consumed {
		if _, err := js.Consumer(ctx, stream, messages.Consumer); err != nil {
			return subjects
		}
	}
	return rest
}

// checker tries permissions. Refusals are read from the connection's last error, which nats.go sets before it handles what the
// server sends next; the error handler is called later.
type checker struct {
	ctx     context.Context
	nc      *nats.Conn
	missing Missing
	// err ends the check.
	err error
}

const (
	// checkTimeout bounds a check.
	checkTimeout = 10 * time.Second
	// traceDestination takes the server's reports about traced messages. No consumer has it.
	traceDestination = "$JS.ACK.ORDERS.orderly.~"
	// reservedReply is refused as a reply subject, after the permission to publish is checked.
	reservedReply = "_R_.orderly"
)

// literal returns a subject that matches the pattern. Its last token is no id of an order.
func literal(pattern string) string { return strings.NewReplacer("*", "~", ">", "~").Replace(pattern) }

// anyRefused publishes to all subjects at once, in one round trip. A server that cannot trace may refuse some.
func (c *checker) anyRefused(subjects []string) bool {
	if ingress.OlderServer(c.nc.ConnectedServerVersion()) {
		return true
	}
	before := c.nc.LastError()
	for _, pattern := range subjects {
		m := &nats.Msg{Subject: literal(pattern), Data: []byte("?"), Header: nats.Header{
			"Nats-Trace-Dest": {traceDestination}, "Nats-Trace-Only": {"true"}, "Nats-Expected-Stream": {"~"},
		}}
		if c.err = c.nc.PublishMsg(m); c.err != nil {
			return false
		}
	}
	c.err = c.nc.FlushWithContext(c.ctx)
	return c.err == nil && c.nc.LastError() != before //nolint:errorlint // another error, not another kind of error
}

// tryEach finds the subjects that are refused.
func (c *checker) tryEach(subjects []string) {
	for _, pattern := range subjects {
		subject := literal(pattern)
		if c.refused(subject, func() error { return c.nc.PublishRequest(subject, reservedReply, nil) }) {
			c.missing.Publish = append(c.missing.Publish, pattern)
		}
	}
}

func (c *checker) trySubscribing(subjects []string) {
	for _, pattern := range subjects {
		subject := literal(pattern)
		if pattern == inboxes { // the connection may have a prefix of its own
			subject = c.nc.NewInbox()
			pattern = subject[:strings.LastIndexByte(subject, '.')] + ".>"
		}
		var sub *nats.Subscription
		if c.refused(subject, func() (err error) { sub, err = c.nc.SubscribeSync(subject); return err }) {
			c.missing.Subscribe = append(c.missing.Subscribe, pattern)
		}
		if sub != nil {
			_ = sub.Unsubscribe() // fails only on a closed connection
		}
	}
}

// tryResponding replies to a request of its own.
func (c *checker) tryResponding() {
	requests, err := c.nc.SubscribeSync(ListSubject)
	if err != nil {
		c.err = err
		return
	}
	defer func() { _ = requests.Unsubscribe() }() // fails only on a closed connection
	inbox := c.nc.NewInbox()
	if c.err = c.nc.PublishRequest(ListSubject, inbox, []byte("?")); c.err != nil {
		return
	}
	for {
		m, err := requests.NextMsgWithContext(c.ctx)
		if err != nil {
			c.err = err
			return
		}
		if m.Reply == inbox { // else it is another client's
			c.missing.Respond = c.refused(inbox, func() error { return m.Respond(nil) })
			return
		}
	}
}

// refused reports whether the server refuses what do sends about the subject.
func (c *checker) refused(subject string, do func() error) bool {
	if c.err != nil {
		return false
	}
	before := c.nc.LastError()
	if c.err = do(); c.err != nil {
		return false
	}
	if c.err = c.nc.FlushWithContext(c.ctx); c.err != nil {
		return false
	}
	after := c.nc.LastError()
	//nolint:errorlint // another error, not another kind of error
	return after != before && errors.Is(after, nats.ErrPermissionViolation) && strings.Contains(after.Error(), ` to "`+subject+`"`)
}
