package journal

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Append is one fenced append. The caller owns it until Append is called, and again once Done was called; it may then
// be used for another append.
type Append struct {
	OrderID messages.OrderID
	// Expected is the last sequence on the order's subject, 0 for none: that of its last entry, or of a foreign message after it.
	Expected uint64
	// Kinds is the value of the header Orderly-Event.
	Kinds string
	// Body is an encoded messages.JournalEntry.
	Body []byte
	// Done is called exactly once, on a goroutine of the journal, and must not block. The sequence is the entry's.
	// The error wraps ErrConflict or a delivery.Failure of kind Infrastructure.
	Done func(a *Append, sequence uint64, err error)

	journal *Journal
	// began by the journal's clock.
	began time.Duration
}

// Append starts the append. It does not wait for the stream and may be called from any goroutine, also
// from a Done. Once Close has returned, Done is called before Append returns, with an error that wraps ErrClosed.
func (j *Journal) Append(a *Append) {
	a.journal, a.began = j, j.now()
	j.publisher.Publish((*publication)(a))
}

// now is the time since New, by the monotonic clock.
func (j *Journal) now() time.Duration { return time.Since(j.epoch) }

// publication makes an Append a natsclient.Publication.
type publication Append

func (p *publication) Size() int { return len(p.Body) }

// Acked completes the append.
func (p *publication) Acked(ack jetstream.PubAck, err error) {
	if err = classify(ack, err); err != nil {
		err = natsclient.Refused(p.journal.api.Conn, messages.SubjectEvent+string(p.OrderID), err)
		err = fmt.Errorf("append order %s after sequence %d: %w", p.OrderID, p.Expected, err)
	}
	j := p.journal
	j.instr.completed(j.now()-p.began, err)
	j.report(err)
	p.Done((*Append)(p), ack.Sequence, err)
}

// report reports whether the stream works. A fenced append, and an entry that is too large, say nothing against it.
func (j *Journal) report(err error) {
	switch f := (*delivery.Failure)(nil); {
	case errors.Is(err, errLost), errors.As(err, &f) && f.Kind == messages.Infrastructure:
		if !errors.Is(err, ErrClosed) {
			j.cfg.Health.Fail(err)
		}
	default:
		j.cfg.Health.OK()
	}
}

// message is reused by successive publishes: nats.go copies what it publishes, so neither headers nor their values have to
// be allocated again.
type message struct {
	msg             nats.Msg
	expected, kinds []string
	// Values of the batch headers; nil in a single message.
	batchID, batchSequence []string
	text                   []byte
}

var (
	singleMessages  = sync.Pool{New: func() any { return newMessage() }}
	batchedMessages = sync.Pool{New: func() any {
		m := newMessage()
		m.batchID, m.batchSequence = make([]string, 1), make([]string, 1)
		m.msg.Header[natsclient.HeaderBatchID], m.msg.Header[natsclient.HeaderBatchSequence] = m.batchID, m.batchSequence
		return m
	}}
	commit = []string{"1"}
)

func newMessage() *message {
	m := &message{expected: make([]string, 1), kinds: make([]string, 1)}
	m.msg.Header = nats.Header{messages.HeaderExpected: m.expected, messages.HeaderEvent: m.kinds}
	return m
}

// Publish publishes the entry.
func (p *publication) Publish(nc *nats.Conn, to natsclient.ReplyTo, mark natsclient.Mark) error {
	pool := &singleMessages
	if mark.ID != "" {
		pool = &batchedMessages
	}
	m := pool.Get().(*message)
	defer pool.Put(m)
	if mark.ID != "" {
		m.batchID[0], m.batchSequence[0] = mark.ID, mark.Sequence
	}
	if mark.Commit {
		m.msg.Header[natsclient.HeaderBatchCommit] = commit
		defer delete(m.msg.Header, natsclient.HeaderBatchCommit)
	}
	// One string holds the subject, the expected sequence and the reply subject, so that there is one allocation.
	b := append(append(m.text[:0], messages.SubjectEvent...), p.OrderID...)
	subjectEnd := len(b)
	b = strconv.AppendUint(b, p.Expected, 10)
	expectedEnd := len(b)
	b = to.Append(b)
	m.text = b
	s := string(b)
	m.expected[0], m.kinds[0] = s[subjectEnd:expectedEnd], p.Kinds
	m.msg.Subject, m.msg.Reply, m.msg.Data = s[:subjectEnd], s[expectedEnd:], p.Body
	err := nc.PublishMsg(&m.msg)
	m.msg.Data = nil
	return err
}
