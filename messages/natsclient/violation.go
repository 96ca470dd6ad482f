package natsclient

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrRefused is wrapped by errors about a message that the server does not permit.
var ErrRefused = errors.New("the server refused the message")

// Violation is what the server refused to a connection: a message to the subject, or else a subscription to it.
type Violation struct {
	Subject string
	Publish bool
}

// String says what was refused.
func (v Violation) String() string {
	if v.Publish {
		return "messages to " + v.Subject
	}
	return "a subscription to " + v.Subject
}

const (
	// violationMemory is how long a refusal explains that a request got no reply; it is longer than any waits for one.
	violationMemory = 10 * time.Second
	// maxViolations bounds the refusals that are remembered.
	maxViolations = 1024
)

// watched are the connections whose violations are watched. nats.go has one error handler per connection; several parts may
// share a connection.
var watched = struct {
	mu   sync.Mutex
	byNC map[*nats.Conn]*violations
}{byNC: map[*nats.Conn]*violations{}}

// violations are those of one connection. watched.mu guards them.
type violations struct {
	previous nats.ErrHandler
	watchers map[*func(Violation)]struct{}
	// refused are subjects of messages, with the time of the latest refusal.
	refused map[string]time.Time
}

// WatchViolations calls f with each violation on the connection until stop is called. The server refuses asynchronously:
// what was refused ends with a time-out, see Refused. The connection's own error handler is called as well, and must not be
// changed meanwhile.
func WatchViolations(nc *nats.Conn, f func(Violation)) (stop func()) {
	watched.mu.Lock()
	defer watched.mu.Unlock()
	v := watched.byNC[nc]
	if v == nil {
		v = &violations{previous: nc.ErrorHandler(), watchers: map[*func(Violation)]struct{}{}, refused: map[string]time.Time{}}
		watched.byNC[nc] = v
		nc.SetErrorHandler(v.handle)
	}
	v.watchers[&f] = struct{}{}
	return func() {
		watched.mu.Lock()
		defer watched.mu.Unlock()
		if _, ok := v.watchers[&f]; !ok {
			return
		}
		if delete(v.watchers, &f); len(v.watchers) == 0 {
			delete(watched.byNC, nc)
			nc.SetErrorHandler(v.previous)
		}
	}
}

// Refused explains an error of what sent messages to the subject: it adds that the server refused one of late, on a
// connection whose violations are watched. It returns nil for nil.
func Refused(nc *nats.Conn, subject string, err error) error {
	if err == nil || ErrorCode(err) != 0 { // the stream has it
		return err
	}
	watched.mu.Lock()
	defer watched.mu.Unlock()
	v := watched.byNC[nc]
	if v == nil {
		return err
	}
	if at, ok := v.refused[subject]; !ok || time.Since(at) > violationMemory {
		return err
	}
	return fmt.Errorf("%w: %w: permit this user to publish to %s", err, ErrRefused, subject)
}

func (v *violations) handle(nc *nats.Conn, sub *nats.Subscription, err error) {
	if violation, ok := ParseViolation(err); ok {
		for _, f := range v.record(violation) {
			(*f)(violation)
		}
	}
	if v.previous != nil {
		v.previous(nc, sub, err)
	}
}

// record remembers a violation and returns who watches.
func (v *violations) record(violation Violation) []*func(Violation) {
	watched.mu.Lock()
	defer watched.mu.Unlock()
	if violation.Publish {
		if len(v.refused) >= maxViolations {
			clear(v.refused)
		}
		v.refused[violation.Subject] = time.Now()
	}
	all := make([]*func(Violation), 0, len(v.watchers))
	for f := range v.watchers {
		all = append(all, f)
	}
	return all
}

var violationText = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to ("(?:[^"\\]|\\.)*")`)

// ParseViolation returns the violation that an error of a connection reports; ok is false if it is another error.
func ParseViolation(err error) (v Violation, ok bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return v, false
	}
	found := violationText.FindStringSubmatch(err.Error())
	if found == nil {
		return v, false
	}
	v.Subject, err = strconv.Unquote(found[2])
	v.Publish = found[1][0]|' ' == 'p'
	return v, err == nil
}
