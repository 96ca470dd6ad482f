package index

import (
	"context"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Explain tells how the database goes about a question.
func (x *Index) Explain(q Query) ([]string, error) {
	c, err := q.check(time.Now())
	if err != nil {
		return nil, err
	}
	query, args := c.sql(c.limit + 1)
	rows, err := x.session.Load().store.read.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
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

// Fill makes a database with n rows in dir: one in a hundred needs somebody, the others have completed.
func Fill(dir string, n int) error {
	s, _, err := openStore(dir)
	if err != nil {
		return err
	}
	defer s.close()
	p := &plan{name: "order", version: 1, steps: []string{"reserve_inventory"}}
	began := time.Now().Add(-time.Duration(n) * time.Millisecond).UnixNano()
	var rows []*row
	for i := range n {
		r := &row{
			id: uint64(5*i + 1), seq: uint64(5*i + 5), orderID: string(shuffled(uint64(i))), customer: "c-" + string(shuffled(uint64(i % 10_000)))[:6],
			status: Completed, total: 1900, currency: "EUR", plan: p, waits: none, done: 1,
			accepted: began + int64(i)*1e6, entered: began + int64(i)*1e6, updated: began + int64(i)*1e6,
		}
		if i%100 == 0 {
			r.status, r.step, r.reason = Attention, "reserve_inventory", "no responders"
		}
		if rows = append(rows, r); len(rows) == 10_000 || i == n-1 {
			if err := s.save(rows, progress{stream: 1, cursor: r.seq, last: r.seq, at: time.Now().UnixNano(), whole: true}); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// shuffled is an id without order.
func shuffled(i uint64) messages.OrderID {
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
	se := &session{store: s, feed: newFeed(s, nil, p, time.Second, nil), failed: make(chan error, 1)}
	se.ended, se.end = context.WithCancel(context.Background())
	se.state.Store(&state{asOf: time.Now(), whole: p.whole, last: p.last})
	x = &Index{cfg: Config{}.withDefaults()}
	x.session.Store(se)
	return x, se.close, nil
}

// Decode reads a body as the feed does, and reports what it would be folded into.
func Decode(body []byte) (orderID, customer, plan string, kinds []int, err error) {
	var e entry
	d := newDecoder(nil)
	if err := d.decode(1, body, &e); err != nil {
		return "", "", "", nil, err
	}
	for _, ev := range e.events {
		kinds = append(kinds, int(ev.kind))
		if ev.kind == kindAccepted {
			customer, plan = ev.customer, ev.plan.name
		}
	}
	return string(e.orderID), customer, plan, kinds, nil
}
