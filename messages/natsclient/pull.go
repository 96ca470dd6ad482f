package natsclient

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Bodies of acknowledgements, to be published to the reply subject of a delivery. In nats.go they are methods of a message,
// which would therefore stay in memory until it is settled.
var (
	Ack        = []byte("+ACK")
	Nak        = []byte("-NAK")
	InProgress = []byte("+WPI")
)

// NakAfter is a Nak that asks for the redelivery after d.
func NakAfter(d time.Duration) []byte {
	if d <= 0 {
		return Nak
	}
	return append(strconv.AppendInt([]byte(`-NAK {"delay": `), int64(d), 10), '}')
}

// Term ends the delivery of a message: it is never redelivered.
func Term(reason string) []byte { return append([]byte("+TERM "), reason...) }

const (
	// pullBytes bounds the messages of one request, well below what a subscription buffers.
	pullBytes = 4 << 20
	// pullExpires ends a request that is not fulfilled.
	pullExpires = 30 * time.Second
	// PullHeartbeat is the interval at which the server sends a status while a request is open and no message comes.
	PullHeartbeat = 5 * time.Second
)

// PullHandler handles the messages and statuses that a PullSession receives. Its methods are called one at a time, on the
// goroutine of the subscription.
type PullHandler interface {
	HandleMsg(*PullSession, *nats.Msg)
	HandleStatus(*PullSession, PullStatus)
}

// PullStatus is a server's status message about pull requests.
type PullStatus struct {
	// Heartbeat: the requests are open.
	Heartbeat bool
	// Void: all requests of the session have ended: there is no consumer, it has another leader, the server shuts down, or it
	// refused a request.
	Void bool
	// ConsumerGone: the reason may be that the consumer does not exist.
	ConsumerGone bool
	// Unfulfilled is the number of messages that a request asked for when it ended. It is 0 if Heartbeat or Void.
	Unfulfilled int
	// Text is the server's status code and description.
	Text string
}

// PullSession is one subscription to the messages of a durable consumer. When it ends, its requests end on the server.
type PullSession struct {
	// Reconnects is how often the connection had reconnected when the session began.
	Reconnects uint64
	// Opened is when the session began.
	Opened time.Time

	nc      *nats.Conn
	subject string
	inbox   string
	handler PullHandler
	sub     *nats.Subscription
	closed  chan struct{}
}

// OpenPull subscribes to the messages of a durable consumer. None come before Request.
func (a API) OpenPull(stream, consumer string, h PullHandler) (*PullSession, error) {
	s := &PullSession{
		nc: a.Conn, subject: a.Subject("CONSUMER.MSG.NEXT." + stream + "." + consumer), inbox: a.Conn.NewInbox(), handler: h,
		closed: make(chan struct{}), Reconnects: a.Conn.Stats().Reconnects, Opened: time.Now(),
	}
	var err error
	if s.sub, err = s.nc.Subscribe(s.inbox, s.receive); err != nil {
		return nil, fmt.Errorf("pull from stream %s: %w", stream, err)
	}
	s.sub.SetClosedHandler(func(string) { close(s.closed) })
	return s, nil
}

var pullOptions = fmt.Sprintf(`,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`, pullBytes, pullExpires, PullHeartbeat)

// Request asks for n messages.
func (s *PullSession) Request(n int) error {
	body := make([]byte, 0, 96)
	body = append(body, `{"batch":`...)
	body = strconv.AppendInt(body, int64(n), 10)
	body = append(body, pullOptions...)
	return s.nc.PublishRequest(s.subject, s.inbox, body)
}

// Drain ends the session once the received messages are handled. It does not wait for that: see Closed. Without a connection
// it ends the session at once.
func (s *PullSession) Drain() {
	if !s.nc.IsConnected() || s.sub.Drain() != nil {
		s.Close()
	}
}

// Close ends the session at once.
func (s *PullSession) Close() { _ = s.sub.Unsubscribe() } // fails only if it has ended

// Closed is closed when the session has ended.
func (s *PullSession) Closed() <-chan struct{} { return s.closed }

// receive distinguishes messages from statuses by the reply subject: a stored message may have a Status header of its own.
func (s *PullSession) receive(m *nats.Msg) {
	if strings.HasPrefix(m.Reply, "$JS.ACK.") {
		s.handler.HandleMsg(s, m)
		return
	}
	s.handler.HandleStatus(s, parsePullStatus(m))
}

func parsePullStatus(m *nats.Msg) PullStatus {
	code, description := m.Header.Get(headerStatus), m.Header.Get("Description")
	status := PullStatus{Text: strings.TrimSpace(code + " " + description)}
	unfulfilled, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	switch {
	case code == "100":
		status.Heartbeat = true
	case err == nil:
		status.Unfulfilled = unfulfilled
	default:
		status.Void = true
		status.ConsumerGone = code == "503" || strings.EqualFold(description, "Consumer Deleted")
	}
	return status
}
