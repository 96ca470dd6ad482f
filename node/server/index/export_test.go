package index

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// StatusNames are the statuses of orders in the index.
var StatusNames = statusNames

// Explain returns the database's plan for a query.
func (x *Index) Explain(q Query) ([]string, error) {
	c, err := q.parse(time.Now())
	if err != nil {
		return nil, err
	}
	query, args := c.sql(c.limit + 1)
	rows, err := x.current.Load().store.read.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}

// Fill makes a database with n rows in dir: one in a hundred needs attention, the others are completed.
func Fill(dir string, n int) error {
	s, _, err := openStore(dir)
	if err != nil {
		return err
	}
	defer s.close()
	p := &wire.Plan{Name: "order", Version: 1, Steps: []string{"reserve_inventory"}}
	began := time.Now().Add(-time.Duration(n) * time.Millisecond).UnixNano()
	var rows []*row
	for i := range n {
		r := &row{
			id: uint64(5*i + 1), sequence: uint64(5*i + 5), orderID: string(pseudoRandomID(uint64(i))), customer: "c-" + string(pseudoRandomID(uint64(i % 10_000)))[:6],
			status: Completed, total: 1900, currency: "EUR", plan: p, wakesAt: wire.Unset, stepsDone: 1,
			acceptedAt: began + int64(i)*1e6, statusSince: began + int64(i)*1e6, updatedAt: began + int64(i)*1e6,
		}
		if i%100 == 0 {
			r.status, r.step, r.reason = Attention, "reserve_inventory", "no responders"
		}
		if rows = append(rows, r); len(rows) == 10_000 || i == n-1 {
			if err := s.save(rows, progress{streamCreated: 1, cursor: r.sequence, last: r.sequence, asOf: time.Now().UnixNano(), caughtUp: true}); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// Occupy takes all reading connections of the database until release is called, so that queries wait. waiting
// counts the queries that wait for a connection.
func (x *Index) Occupy(ctx context.Context) (waiting func() int64, release func(), err error) {
	read := x.current.Load().store.read
	var taken []*sql.Conn
	release = func() {
		for _, c := range taken {
			_ = c.Close() // the database may be closed
		}
	}
	for range readers {
		c, err := read.Conn(ctx)
		if err != nil {
			release()
			return nil, nil, err
		}
		taken = append(taken, c)
	}
	before := read.Stats().WaitCount
	return func() int64 { return read.Stats().WaitCount - before }, release, nil
}

// pseudoRandomID is a pseudo-random id.
func pseudoRandomID(i uint64) messages.OrderID {
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	x, id := i*0x9e3779b97f4a7c15, make([]byte, 13)
	for j := range id {
		id[j] = letters[x>>(5*j)%32]
	}
	return messages.OrderID(id)
}

// Reader answers from a database that Fill made, without a journal.
func Reader(dir string) (x *Index, closes func(), err error) {
	s, p, err := openStore(dir)
	if err != nil {
		return nil, nil, err
	}
	se := &session{store: s, feed: newFeed(s, nil, p, time.Second, nil), corrupt: make(chan error, 1)}
	se.ctx, se.cancel = context.WithCancel(context.Background())
	se.state.Store(&state{asOf: time.Now(), caughtUp: p.caughtUp, last: p.last})
	x = &Index{cfg: Config{}.withDefaults()}
	x.current.Store(se)
	return x, se.close, nil
}

// Manual is an index without a journal: a test hands it the entries and says when rows are written.
type Manual struct {
	*Index
	feed *feed
	// Close ends it.
	Close func()
}

// NewManual makes an empty index in dir; hold is Config.Hold.
func NewManual(dir string, hold time.Duration) (*Manual, error) {
	s, p, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	se := &session{store: s, feed: newFeed(s, nil, p, hold, slog.New(slog.DiscardHandler)), corrupt: make(chan error, 1)}
	se.ctx, se.cancel = context.WithCancel(context.Background())
	se.publish()
	x := &Index{cfg: Config{}.withDefaults()}
	x.current.Store(se)
	return &Manual{Index: x, feed: se.feed, Close: se.close}, nil
}

// Take applies an entry that was read at a time.
func (f *Manual) Take(sequence uint64, body []byte, read time.Time) error {
	f.feed.next = sequence + 1
	return f.feed.applyPage(natsclient.Page{Msgs: []natsclient.StoredMsg{{Sequence: sequence, Data: body}}}, read)
}

// Write writes the rows that are due.
func (f *Manual) Write() error { return f.feed.write() }
