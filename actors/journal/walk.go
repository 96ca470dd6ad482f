package journal

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/orderly-engine/orderly/messages"
)

// walkMax is how many entries are walked at most: each takes one round trip. The server finds a message
// by its sequence at once, but the next one of a subject by looking at all between: where the entries of thousands of
// orders alternate, a walk is dozens of times cheaper than a page.
const walkMax = 256

// walk reads an order's history backwards: its last entry first, and from each the one before, which the entry names.
// What comes of it is the history as it was when the last entry was read, whoever answers for the others: the message at
// a sequence never changes.
type walk struct {
	reads *requests
	id    messages.OrderID
	// short: from an entry with a checkpoint it goes on to the first.
	short bool
	// leader: the first reply is the leader's.
	leader bool
	// found are the entries read, newest first; next is the sequence asked for, 0: the last entry.
	found []stored
	next  uint64
	// number is that of the entry asked for.
	number uint64
	// lost: an entry is missing, does not name the one before, or there are too many.
	lost bool
	err  error
	done chan struct{}

	mu sync.Mutex
	// asked is the number of the request under way; over: nobody waits any more. Both are guarded by mu.
	asked uint64
	over  bool
}

// walk returns the order's history, or a short form of it; ok is false if it cannot be had this way.
func (j *Journal) walk(ctx context.Context, id messages.OrderID, short bool) (entries []Entry, ok bool, err error) {
	w := &walk{reads: j.reads, id: id, short: short, leader: !j.alone(), done: make(chan struct{})}
	ctx, cancel := j.reads.bound(ctx)
	defer cancel()
	defer w.forget()
	if err := w.askLast(); err != nil {
		return nil, false, err
	}
	if err := await(ctx, w.done); err != nil {
		return nil, false, err
	}
	if w.err != nil || w.lost {
		return nil, false, w.err
	}
	slices.Reverse(w.found)
	entries, err = decodeAll(id, w.found)
	return entries, true, err
}

// alone reports whether no other server than the one that is connected can answer a direct get: then its answer is as
// new as the leader's, for less than half the work.
func (j *Journal) alone() bool { return j.cfg.Alone && j.nc.ConnectedClusterName() == "" }

func (w *walk) askLast() error {
	api := apiDirectGet
	if w.leader {
		api = apiMessageGet
	}
	return w.ask(api, []byte(`{"last_by_subj":"`+messages.SubjectEvent+string(w.id)+`"}`))
}

// askNext asks for a body only: headers would double the work.
func (w *walk) askNext() error {
	return w.ask(apiDirectGet, append(strconv.AppendUint([]byte(`{"seq":`), w.next, 10), `,"no_hdr":true}`...))
}

// ask sends a request that has one reply.
func (w *walk) ask(api string, body []byte) error {
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return nil
	}
	w.asked = w.reads.expect(w)
	n := w.asked
	w.mu.Unlock()
	return w.reads.ask(n, api, body)
}

func (w *walk) forget() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.reads.forget(w.asked)
}

// receive takes one entry and asks for the one before.
func (w *walk) receive(m *nats.Msg) bool {
	if more, err := w.take(m); err != nil || !more {
		w.err = err
		close(w.done)
	}
	return true
}

// take reports whether it asked for another entry.
func (w *walk) take(m *nats.Msg) (more bool, err error) {
	s, found, err := w.parse(m)
	if err != nil {
		return false, err
	}
	if !found {
		// Of the last entry: the order has none. Else the server lags, or retention was here.
		w.lost = w.next != 0
		return false, nil
	}
	l, ok := linksOf(s.body)
	if w.next != 0 {
		ok = ok && l.number == w.number
	}
	w.found = append(w.found, s)
	w.lost = !ok || (l.number == 1) != (l.previous == 0) || !w.short && l.number > walkMax
	switch {
	case w.lost || l.previous == 0:
		return false, nil
	case len(w.found) == walkMax:
		w.lost = true
		return false, nil
	case w.short && l.first != 0:
		w.next, w.number = l.first, 1
	default:
		w.next, w.number = l.previous, l.number-1
	}
	err = w.askNext()
	return err == nil, err
}

func (w *walk) parse(m *nats.Msg) (s stored, found bool, err error) {
	status := m.Header.Get(headerStatus)
	switch {
	case status == statusNoResponders:
		return s, false, infrastructure(errStore)
	case w.leader && w.next == 0:
		return parseLeader(m)
	case status == statusNotFound:
		return s, false, nil
	case status != "":
		return s, false, refusedGet(messages.SubjectEvent+string(w.id), m)
	case w.next != 0:
		return stored{sequence: w.next, body: m.Data}, true, nil
	}
	if s, err = parseDirect(m); err != nil {
		return s, false, infrastructure(err)
	}
	return s, true, nil
}

// links are what an encoded entry says of others: its number, the sequence of the entry before it, and, if it carries a
// checkpoint that can be read, that of the first.
type links struct{ number, previous, first uint64 }

func linksOf(body []byte) (l links, ok bool) {
	var version, first uint64
	ok = eachField(body, func(field protowire.Number, v uint64, nested []byte) bool {
		switch field {
		case entryNumber:
			l.number = v
		case entryPrevious:
			l.previous = v
		case entryCheckpoint:
			return eachField(nested, func(field protowire.Number, v uint64, _ []byte) bool {
				switch field {
				case checkpointVersion:
					version = v
				case checkpointFirst:
					first = v
				}
				return true
			})
		}
		return true
	})
	if version == messages.CheckpointVersion {
		l.first = first
	}
	return l, ok
}

// eachField calls visit with each number and each value of bytes in an encoded message, and reports whether that can be
// read.
func eachField(body []byte, visit func(field protowire.Number, number uint64, value []byte) bool) bool {
	for len(body) > 0 {
		field, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return false
		}
		body = body[n:]
		var number uint64
		var value []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(body)
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(body)
		default:
			n = protowire.ConsumeFieldValue(field, kind, body)
		}
		if n < 0 || !visit(field, number, value) {
			return false
		}
		body = body[n:]
	}
	return true
}
