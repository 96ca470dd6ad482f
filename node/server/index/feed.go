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
	// maxCached is the largest number of written rows in memory: those of running and compensating orders, whose next entry
	// is expected soon.
	maxCached = 50_000
	// maxDirty is the largest number of unwritten rows; reading stops until some are written.
	maxDirty = 100_000
	// maxUnwritten is the largest number of entries read between two transactions.
	maxUnwritten = 20_000
	// maxReadTime bounds the reading between two transactions, because appends may be faster than the reader.
	maxReadTime = 200 * time.Millisecond
	// longBacklog is the number of unread entries from which on the feed pauses after each page for as long as that took, so
	// that the node can use the other half of the time.
	longBacklog = 50_000
	// saveInterval is the longest time between two writes of the progress.
	saveInterval = time.Minute
)

// feed folds the journal into rows. It belongs to one goroutine; unwrittenRows may be called from any.
type feed struct {
	store  *store
	reader *reader
	decode *wire.Decoder
	hold   time.Duration
	log    *slog.Logger

	// next is the sequence to read from.
	next uint64
	// progress of the rows in memory; its cursor and asOf are those in the database.
	progress progress
	cached   map[string]*row
	// mu guards dirty and its rows: other goroutines read them.
	mu sync.RWMutex
	// dirty are the unwritten rows, in the order of their first unwritten entry.
	dirty []*row
	// due and later are reused for each transaction.
	due, later []*row
	entry      wire.Entry
	// unwritten counts the entries read since the last write, saved is the time of the last write.
	unwritten int
	saved     time.Time

	// asOf: every entry stored before is applied; pending counts the entries stored after.
	asOf    time.Time
	pending uint64
	// skipped and applied count entries.
	skipped, applied int64
	// logged is the time of the last log of a skipped entry.
	logged time.Time
}

func newFeed(s *store, r *reader, p progress, hold time.Duration, log *slog.Logger) *feed {
	return &feed{
		store: s, reader: r, decode: wire.NewDecoder(s.knownPlans()), hold: hold, log: log,
		next: p.cursor + 1, progress: p, cached: map[string]*row{}, saved: time.Now(), asOf: time.Unix(0, p.asOf),
	}
}

// tick reads to the end of the journal, or as much as one transaction takes, and writes what is due. more: there is more to
// read.
func (f *feed) tick(ctx context.Context) (more bool, err error) {
	for started := time.Now(); len(f.dirty) < maxDirty && f.unwritten < maxUnwritten && time.Since(started) < maxReadTime; {
		began := time.Now()
		p, err := f.reader.page(ctx, f.next, pageMax)
		if err != nil {
			return false, errors.Join(err, f.write())
		}
		if err := f.applyPage(p, began); err != nil {
			return false, err
		}
		if f.advance(p, began); p.Pending == 0 {
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

// advance records how far the journal is read.
func (f *feed) advance(p natsclient.Page, began time.Time) {
	if n := len(p.Msgs); n > 0 {
		last := p.Msgs[n-1]
		f.next = last.Sequence + 1
		if last.Sequence > f.progress.last {
			f.progress.last, f.progress.checksum = last.Sequence, checksum(last.Data)
		}
		if at := time.Unix(0, max(f.entry.Time, 0)); !f.progress.caughtUp || at.After(f.asOf) {
			f.asOf = at
		}
	}
	if f.pending = p.Pending; p.Pending == 0 {
		f.asOf, f.progress.caughtUp = began, true
	}
}

func (f *feed) applyPage(p natsclient.Page, read time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range p.Msgs {
		if err := f.apply(s, read); err != nil {
			return err
		}
	}
	return nil
}

// apply folds one entry, which was read at that time, into its row.
func (f *feed) apply(s natsclient.StoredMsg, read time.Time) error {
	f.unwritten++
	e := &f.entry
	if err := f.decode.Decode(s.Sequence, s.Data, e); err != nil {
		f.skip(s.Sequence, err)
		return nil
	}
	r := f.cached[string(e.OrderID)]
	if r == nil {
		var err error
		if r, err = f.rowFor(e); r == nil || err != nil {
			return err
		}
	}
	switch {
	case e.Sequence <= r.sequence:
		return nil
	case e.Number > 1 && e.Previous < r.sequence:
		f.skip(e.Sequence, errForeign)
		return nil
	}
	r.fold(e)
	f.applied++
	f.cached[r.orderID] = r
	if !r.dirty {
		r.dirty, r.firstUnwritten, r.dirtySince, r.asOf = true, e.Sequence, read, f.asOf
		f.dirty = append(f.dirty, r)
	}
	return nil
}

// rowFor returns the row to which the entry belongs, or nil if the entry is skipped.
func (f *feed) rowFor(e *wire.Entry) (*row, error) {
	if e.Number == 1 && len(e.Events) > 0 && e.Events[0].Kind == wire.Accepted {
		// A row of the order in the database is from before the journal dropped the order, or from before a stop, after which
		// all its entries are read again.
		if _, err := messages.ParseOrderID(string(e.OrderID)); err != nil {
			f.skip(e.Sequence, err)
			return nil, nil
		}
		return &row{}, nil
	}
	r, err := f.store.load(string(e.OrderID))
	if r == nil && err == nil {
		f.skip(e.Sequence, errNotAccepted)
	}
	return r, err
}

// errForeign: the entry before it has a successor already.
var errForeign = errors.New("no node stored it: it does not follow the order's last entry")

var errNotAccepted = errors.New("the order's first entry is unknown")

func (f *feed) skip(sequence uint64, err error) {
	if f.skipped++; time.Since(f.logged) < logInterval {
		return
	}
	f.logged = time.Now()
	f.log.Warn("journal message is no entry, skipped by the index", "stream", messages.StreamEvents, "sequence", sequence, telemetry.KeyError, err)
}

// write writes the rows that are due, and the sequence up to which the database then has every entry.
func (f *feed) write() error {
	now := time.Now()
	f.due, f.later = f.due[:0], f.later[:0]
	for _, r := range f.dirty {
		if r.status.active() && now.Sub(r.dirtySince) < f.hold {
			f.later = append(f.later, r)
		} else {
			f.due = append(f.due, r)
		}
	}
	if len(f.due) == 0 && now.Sub(f.saved) < saveInterval {
		f.unwritten = 0
		return nil
	}
	p := f.progress
	p.cursor, p.asOf = f.next-1, f.asOf.UnixNano()
	if len(f.later) > 0 {
		p.cursor, p.asOf = f.later[0].firstUnwritten-1, min(p.asOf, f.later[0].asOf.UnixNano())
	}
	if err := f.store.save(f.due, p); err != nil {
		return err
	}
	f.progress, f.saved, f.unwritten = p, now, 0
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty, f.later = f.later, f.dirty
	for _, r := range f.due {
		r.stored, r.dirty, r.key = true, false, key{r.status, r.statusSince}
		if !r.status.active() || len(f.cached) > maxCached {
			delete(f.cached, r.orderID)
		}
	}
	return nil
}

func checksum(body []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(body) // cannot fail
	return h.Sum64()
}
