package permission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// watchInterval is the time between two checks while permissions are missing; it is shorter than health.Renewal.
	watchInterval = 5 * time.Second
	// logInterval is the least time between two logs of what the server refused.
	logInterval = time.Second
)

// Watch logs what the server refuses on the connection of js, until ctx ends. After a refusal it tries the permissions, and again at
// intervals until none is missing; work gets the results.
func (p Permissions) Watch(ctx context.Context, js jetstream.JetStream, work *health.Check, log *slog.Logger) {
	refused := make(chan struct{}, 1)
	logs := rate.Sometimes{Interval: logInterval}
	defer natsclient.WatchViolations(js.Conn(), func(v natsclient.Violation) {
		select {
		case refused <- struct{}{}:
			logs.Do(func() {
				log.Error("NATS refuses this node a permission", "subject", v.Subject, "publish", v.Publish, "for", purpose(v))
			})
		default:
		}
	})()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refused:
		}
		for {
			err := p.Check(ctx, js)
			if err == nil {
				work.OK()
				break
			}
			if errors.Is(err, ErrMissing) {
				work.Fail(err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(watchInterval):
			}
		}
		select { // of the checks
		case <-refused:
		default:
		}
	}
}

// purpose says what the node did when it was refused.
func purpose(v natsclient.Violation) string {
	rest := func(prefix string) (string, bool) { return strings.CutPrefix(v.Subject, prefix) }
	if !v.Publish {
		return "a subscription"
	}
	if id, ok := rest(messages.SubjectEvent); ok {
		return "an append of order " + id
	}
	if id, ok := rest(messages.SubjectTimer); ok {
		return "the timer of order " + id
	}
	if id, ok := rest(messages.SubjectDead); ok {
		return "a dead letter of order " + id
	}
	if id, ok := rest(messages.SubjectOrder); ok {
		return "a message about order " + id
	}
	if _, ok := rest("$JS.ACK."); ok {
		if meta, err := (&nats.Msg{Reply: v.Subject, Sub: &nats.Subscription{}}).Metadata(); err == nil {
			return fmt.Sprintf("the acknowledgement of message %d of stream %s", meta.Sequence.Stream, meta.Stream)
		}
		return "an acknowledgement"
	}
	if operation, ok := rest(jetstream.DefaultAPIPrefix); ok {
		return "the operation " + operation
	}
	if _, ok := rest(nats.InboxPrefix); ok {
		return "an answer to a request"
	}
	return "a message"
}
