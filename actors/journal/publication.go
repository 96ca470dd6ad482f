package journal

import (
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
)

// tokenBase is the base in which tokens end reply subjects.
const tokenBase = 32

// publication is a message that is published again and again with other contents: the client library copies what it
// is given before its publish returns, so neither the headers nor their values are allocated anew.
type publication struct {
	msg    nats.Msg
	fence  []string
	kinds  []string
	serial []string // nil when not for batches
	text   []byte
}

var singles = sync.Pool{New: func() any { return newPublication() }}

func newPublication() *publication {
	p := &publication{fence: make([]string, 1), kinds: make([]string, 1)}
	p.msg.Header = nats.Header{headerExpected: p.fence, messages.HeaderEvent: p.kinds}
	return p
}

// newBatchPublication is for the messages of one batch.
func newBatchPublication(id string) *publication {
	p := newPublication()
	p.serial = make([]string, 1)
	p.msg.Header[headerBatchID] = []string{id}
	p.msg.Header[headerBatchSequence] = p.serial
	return p
}

// publish sends the append; with a token, the reply is asked for.
func (p *publication) publish(nc *nats.Conn, inbox string, t token, a *Append) error {
	// One string holds everything that is new.
	b := append(append(p.text[:0], messages.SubjectEvent...), a.OrderID...)
	subjectEnd := len(b)
	b = strconv.AppendUint(b, a.Expected, 10)
	fenceEnd := len(b)
	if t != 0 {
		b = strconv.AppendUint(append(b, inbox...), uint64(t), tokenBase)
	}
	p.text = b
	s := string(b)
	p.fence[0], p.kinds[0] = s[subjectEnd:fenceEnd], a.Kinds
	p.msg.Subject, p.msg.Reply, p.msg.Data = s[:subjectEnd], s[fenceEnd:], a.Body
	err := nc.PublishMsg(&p.msg)
	p.msg.Data = nil
	return err
}
