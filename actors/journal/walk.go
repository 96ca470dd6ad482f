package journal

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// walkMax is the largest number of entries read by a walk: each takes one round trip. The server finds a message by its
// sequence with one look-up, but the next one of a subject by scanning all messages in between: where the entries of
// thousands of orders alternate, a walk is dozens of times cheaper than a page.
const walkMax = 256

// walk reads an order's history backwards: its last entry first, and from each the one before, which the entry names.
// The result is the history as it was when the last entry was read, whichever server replies for the others: the message
// at a sequence never changes. It is the natsclient.Handler of its requests, of which one is in flight at a time.
type walk struct {
	j  *Journal
	id messages.OrderID
	// short: after an entry with a checkpoint, only the first entry is read.
	short bool
	// leader: the first reply is the leader's.
	leader bool
	// found are the entries read, newest first; next is the sequence asked for, 0: the last entry.
	found []natsclient.StoredMsg
	// size is that of found in bytes.
	size int
	next uint64
	// number is that of the entry asked for.
	number uint64
	// broken: an entry is missing, does not name the one before, or there are too many; or foreign messages are stored before
	// or after the last entry.
	broken bool
	err    error
	done   chan struct{}
	// abandoned: the caller no longer waits for the result.
	abandoned atomic.Bool
}

// walk returns the order's history, or a short form of it; ok is false if it must be read in pages.
func (j *Journal) walk(ctx context.Context, id messages.OrderID, short bool) (entries []Entry, ok bool, err error) {
	ctx, cancel := j.bound(ctx)
	defer cancel()
	w := &walk{j: j, id: id, short: short, leader: !j.singleServer(), done: make(chan struct{})}
	w.requestLast()
	select {
	case <-w.done:
	case <-ctx.Done():
		w.abandoned.Store(true)
		return nil, false, readFailure(context.Cause(ctx))
	}
	if f := (*delivery.Failure)(nil); errors.As(w.err, &f) {
		return nil, false, w.err
	}
	if w.err != nil || w.broken {
		return nil, false, readFailure(w.err)
	}
	entries = make([]Entry, 0, len(w.found))
	for i := range slices.Backward(w.found) {
		e, err := entryOf(id, &w.found[i])
		if err != nil {
			return nil, false, nil //nolint:nilerr // a read in pages passes it over
		}
		entries = append(entries, e)
	}
	return entries, true, nil
}

// singleServer reports whether only the connected server can answer a direct get: then its answer is as new as the
// leader's, for less than half the work.
func (j *Journal) singleServer() bool {
	return j.cfg.SingleServer && j.api.Conn.ConnectedClusterName() == ""
}

func (w *walk) requestLast() {
	subject := w.j.directGet
	if w.leader {
		subject = w.j.leaderGet
	}
	w.request(subject, []byte(`{"last_by_subj":"`+messages.SubjectEvent+string(w.id)+`"}`))
}

// askNext asks for a body only: headers would double the work.
func (w *walk) requestNext() {
	w.request(w.j.directGet, append(strconv.AppendUint([]byte(`{"seq":`), w.next, 10), `,"no_hdr":true}`...))
}

func (w *walk) request(subject string, body []byte) {
	w.j.reads.Send(w, func(to natsclient.ReplyTo) error { return w.j.api.Conn.PublishRequest(subject, to.String(), body) })
}

// Fail ends the walk.
func (w *walk) Fail(err error) {
	w.err = err
	close(w.done)
}

// Reply takes one entry and asks for the one before.
func (w *walk) Reply(m *nats.Msg) bool {
	switch more, err := w.take(m); {
	case err != nil || !more:
		w.Fail(err)
	case !w.abandoned.Load():
		w.requestNext()
	}
	return true
}

// take reports whether there is another entry to ask for.
func (w *walk) take(m *nats.Msg) (more bool, err error) {
	s, err := w.parse(m)
	if err != nil {
		return false, err
	}
	if s == nil {
		// Of the last entry: the order has none. Else the server lags, or retention removed the entry.
		w.broken = w.next != 0
		return false, nil
	}
	l, ok := parseLinks(s.Data)
	if w.next != 0 {
		ok = ok && l.number == w.number
	} else {
		// What else is on the subject before it, or instead of it, only a read in pages passes over.
		ok = ok && unbroken(s, l.previous)
	}
	w.found = append(w.found, *s)
	if w.size += len(s.Data); w.size > maxHistory {
		return false, tooLarge()
	}
	w.broken = !ok || (l.number == 1) != (l.previous == 0) || !w.short && l.number > walkMax
	switch {
	case w.broken || l.previous == 0:
		return false, nil
	case len(w.found) == walkMax:
		w.broken = true
		return false, nil
	case w.short && l.first != 0:
		w.next, w.number = l.first, 1
	default:
		w.next, w.number = l.previous, l.number-1
	}
	return true, nil
}

// parse reads a reply; nil if there is no such entry.
func (w *walk) parse(m *nats.Msg) (*natsclient.StoredMsg, error) {
	switch {
	case w.next == 0 && w.leader:
		return natsclient.ParseLeaderGet(m)
	case w.next == 0 || natsclient.Status(m) != "":
		return natsclient.ParseDirectGet(m)
	}
	return &natsclient.StoredMsg{Sequence: w.next, Data: m.Data}, nil
}

// links are an entry's number and the sequences it names: that of the entry before it, and, with a checkpoint of a known
// version, that of the order's first entry.
type links struct{ number, previous, first uint64 }

func parseLinks(body []byte) (l links, ok bool) {
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

// eachField calls visit with the number or the bytes of each field of an encoded message, and reports whether the message
// is valid.
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
