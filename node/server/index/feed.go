package index

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/node/server/index/wire"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const (
	// maxLive bounds the written rows that are kept in memory: orders under way, whose next entry is near.
	maxLive = 50_000
	// maxDirty is where reading stops until rows could be written.
	maxDirty = 100_000
	// writeEvery bounds the entries read between two transactions.
	writeEvery = 20_000
	// readFor bounds the time of reading between two transactions, so that the rows follow also when the end of the journal
	// runs away from the reader.
	readFor = 200 * time.Millisecond
	// longBacklog is how many entries make a backlog that is read with pauses, so that the node has the rest of the time.
	longBacklog = 50_000
	// saveEvery is how often progress is written when nothing happens.
	saveEvery = time.Minute
)

// feed folds the journal into rows. It belongs to one goroutine; fresh may be called from any.
type feed struct {
	store  *store
	reader *reader
	decode *wire.Decoder
	hold   time.Duration
	log    *slog.Logger

	// next is the sequence to read from.
	next uint64
	// progress is that of the rows in memory; its cursor and time are those that were written.
	progress progress
	live     map[string]*row
	// mu is held while dirty or a row in it changes, and by those goroutines that look at them.
	mu sync.RWMutex
	// dirty rows, in the order of their first entry that is not in the database.
	dirty []*row
	// due and kept are used again for each transaction.
	due, kept []*row
	entry     wire.Entry
	// unwritten counts the entries read since the last write, saved is when something was written.
	unwritten int
	saved     time.Time

	// complete is the moment up to which all that was stored is folded in; pending counts the entries stored after.
	complete time.Time
	pending  uint64
	// passed and taken count entries of no use, and the others.
	passed, taken int64
}

func newFeed(s *store, r *reader, p progress, hold time.Duration, log *slog.Logger) *feed {
	return &feed{
		store: s, reader: r, decode: wire.NewDecoder(s.known()), hold: hold, log: log,
		next: p.cursor + 1, progress: p, live: map[string]*row{}, saved: time.Now(), complete: time.Unix(0, p.at),
	}
}

// tick reads to the end of the journal, or as much of it as belongs into one transaction, and writes what is due. More:
// there is more to read.
func (f *feed) tick(ctx context.Context) (more bool, err error) {
	for started := time.Now(); len(f.dirty) < maxDirty && f.unwritten < writeEvery && time.Since(started) < readFor; {
		began := time.Now()
		p, err := f.reader.page(ctx, f.next, pageMax)
		if err != nil {
			return false, errors.Join(err, f.write())
		}
		if err := f.takeAll(p, began); err != nil {
			return false, err
		}
		if f.arrived(p, began); p.Pending == 0 {
			return false, f.write()
		}
		if p.Pending > longBacklog {
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
	}
	err = f.write()
	return err == nil, err
}

// arrived takes note of how far the journal is read.
func (f *feed) arrived(p natsclient.Page, began time.Time) {
	if n := len(p.Msgs); n > 0 {
		last := p.Msgs[n-1]
		f.next = last.Sequence + 1
		if last.Sequence > f.progress.last {
			f.progress.last, f.progress.checksum = last.Sequence, checksum(last.Data)
		}
		if told := time.Unix(0, max(f.entry.Time, 0)); !f.progress.whole || told.After(f.complete) {
			f.complete = told
		}
	}
	if f.pending = p.Pending; p.Pending == 0 {
		f.complete, f.progress.whole = began, true
	}
}

func (f *feed) takeAll(p natsclient.Page, read time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range p.Msgs {
		if err := f.take(s, read); err != nil {
			return err
		}
	}
	return nil
}

// take folds one entry that was read at the time.
func (f *feed) take(s natsclient.StoredMsg, read time.Time) error {
	f.unwritten++
	e := &f.entry
	if err := f.decode.Decode(s.Sequence, s.Data, e); err != nil {
		f.pass(s.Sequence, err)
		return nil
	}
	r := f.live[string(e.OrderID)]
	if r == nil {
		var err error
		if r, err = f.find(e); r == nil || err != nil {
			return err
		}
	}
	if e.Sequence <= r.seq {
		return nil
	}
	r.fold(e)
	f.taken++
	f.live[r.orderID] = r
	if !r.dirty {
		r.dirty, r.first, r.since, r.lacks = true, e.Sequence, read, f.complete
		f.dirty = append(f.dirty, r)
	}
	return nil
}

// find returns the row that the entry is to be folded into, or nil when it is of no use.
func (f *feed) find(e *wire.Entry) (*row, error) {
	if e.Number == 1 && len(e.Events) > 0 && e.Events[0].Kind == wire.Accepted {
		// Whatever the database has of such an order is from before the journal forgot it, or from before a stop, after which
		// all of its entries are read again.
		if _, err := messages.ParseOrderID(string(e.OrderID)); err != nil {
			f.pass(e.Sequence, err)
			return nil, nil
		}
		return &row{}, nil
	}
	r, err := f.store.load(string(e.OrderID))
	if r == nil && err == nil {
		f.pass(e.Sequence, errUnknown)
	}
	return r, err
}

var errUnknown = errors.New("nothing tells of the order's beginning")

// pass leaves an entry out.
func (f *feed) pass(sequence uint64, err error) {
	f.passed++
	f.log.Warn("journal entry left out of the index", "sequence", sequence, telemetry.KeyError, err)
}

// write writes the rows that are due, with the sequence up to which nothing is missing in the database then.
func (f *feed) write() error {
	now := time.Now()
	f.due, f.kept = f.due[:0], f.kept[:0]
	for _, r := range f.dirty {
		if r.status.moving() && now.Sub(r.since) < f.hold {
			f.kept = append(f.kept, r)
		} else {
			f.due = append(f.due, r)
		}
	}
	if len(f.due) == 0 && now.Sub(f.saved) < saveEvery {
		f.unwritten = 0
		return nil
	}
	p := f.progress
	p.cursor, p.at = f.next-1, f.complete.UnixNano()
	if len(f.kept) > 0 {
		p.cursor, p.at = f.kept[0].first-1, min(p.at, f.kept[0].lacks.UnixNano())
	}
	if err := f.store.save(f.due, p); err != nil {
		return err
	}
	f.progress, f.saved, f.unwritten = p, now, 0
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty, f.kept = f.kept, f.dirty
	for _, r := range f.due {
		r.stored, r.dirty, r.key = true, false, key{r.status, r.entered}
		if !r.status.moving() || len(f.live) > maxLive {
			delete(f.live, r.orderID)
		}
	}
	return nil
}

func checksum(body []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(body) // cannot fail
	return h.Sum64()
}
