package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// rowsPerInsert is how many rows one statement inserts.
const rowsPerInsert = 32

const columnCount = 17

func (s *store) prepare(ctx context.Context) error {
	values := "(" + strings.TrimSuffix(strings.Repeat("?,", columnCount), ",") + ")"
	const changing = "step = ?, reason = ?, updated_at = ?, wakes_at = ?, parked_since = ?, steps_done = ?, undoing = ?, sequence = ?"
	insert := "INSERT OR REPLACE INTO orders (" + columns + ") VALUES " + values
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.insert, insert},
		{&s.insertMany, insert + strings.Repeat(","+values, rowsPerInsert-1)},
		{&s.updateKey, "UPDATE orders SET " + changing + ", status = ?, status_since = ? WHERE id = ?"},
		{&s.update, "UPDATE orders SET " + changing + " WHERE id = ?"},
		{&s.lookup, "SELECT " + columns + " FROM orders WHERE order_id = ?"},
		{&s.addPlan, "INSERT OR REPLACE INTO plans (id, name, version, steps) VALUES (?, ?, ?, ?)"},
		{&s.progress, "INSERT OR REPLACE INTO progress (one, stream_created, cursor, last, checksum, as_of, caught_up) VALUES (1, ?, ?, ?, ?, ?, ?)"},
		{&s.forget, `DELETE FROM orders WHERE id IN (SELECT id FROM orders INDEXED BY orders_by_status WHERE status = ? AND status_since < ? ORDER BY status_since LIMIT ?)`},
	} {
		stmt, err := s.conn.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // it lives as long as the connection
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

// load returns the row of an order in the database, or nil.
func (s *store) load(orderID string) (*row, error) {
	r := &row{stored: true}
	var planID int64
	err := s.lookup.QueryRow(orderID).Scan(r.targets(&planID)...)
	if err == sql.ErrNoRows { //nolint:errorlint // Scan returns it as it is
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load order %s from the index: %w", orderID, asCorrupt(err))
	}
	if r.plan = s.planOf(planID); r.plan == nil {
		return nil, fmt.Errorf("load order %s from the index: %w: it has no plan %d", orderID, errCorrupt, planID)
	}
	r.key = key{r.status, r.statusSince}
	return r, nil
}

// targets are the arguments of Scan for columns.
func (r *row) targets(planID *int64) []any {
	return []any{
		&r.id, &r.orderID, &r.customer, &r.status, &r.step, &r.reason, &r.acceptedAt, &r.statusSince, &r.updatedAt, &r.wakesAt, &r.parkedSince,
		&r.total, &r.currency, planID, &r.stepsDone, &r.undoing, &r.sequence,
	}
}

// save writes rows and progress in one transaction.
func (s *store) save(rows []*row, p progress) error {
	return s.transaction(func() error {
		if err := s.saveRows(rows); err != nil {
			return err
		}
		failpoint.Pass(failpoint.HalfIndex)
		_, err := s.progress.Exec(p.streamCreated, int64(p.cursor), int64(p.last), int64(p.checksum), p.asOf, p.caughtUp)
		return err
	})
}

// sweep removes at most limit rows of orders that ended before a time.
func (s *store) sweep(before int64, limit int) (removed int, err error) {
	err = s.transaction(func() error {
		for _, status := range []Status{Completed, Rejected, Cancelled} {
			result, err := s.forget.Exec(int64(status), before, limit-removed)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			removed += int(n)
		}
		return nil
	})
	return removed, err
}

// transaction commits the writes of f, or none if it fails. It takes no context: one that can end would cost a goroutine per
// statement.
func (s *store) transaction(f func() error) error {
	s.unsaved = s.unsaved[:0]
	if _, err := s.begin.Exec(); err != nil {
		return fmt.Errorf("write the index: %w", asCorrupt(err))
	}
	err := f()
	if err == nil {
		_, err = s.commit.Exec()
	}
	if err != nil {
		_, _ = s.rollback.Exec() // fails when the database has rolled back by itself
		return fmt.Errorf("write the index: %w", asCorrupt(err))
	}
	for _, p := range s.unsaved {
		s.saved[p] = true
	}
	return nil
}

func (s *store) saveRows(rows []*row) error {
	fresh := 0
	s.args = s.args[:0]
	for _, r := range rows {
		if err := s.savePlan(r.plan); err != nil {
			return err
		}
		if r.stored {
			if err := s.saveChange(r); err != nil {
				return err
			}
			continue
		}
		s.args = append(s.args, int64(r.id), r.orderID, r.customer, int64(r.status), r.step, r.reason, r.acceptedAt, r.statusSince, r.updatedAt, r.wakesAt, r.parkedSince,
			r.total, r.currency, s.planIDs[r.plan], r.stepsDone, r.undoing, int64(r.sequence))
		if fresh++; fresh == rowsPerInsert {
			if _, err := s.insertMany.Exec(s.args...); err != nil {
				return err
			}
			fresh, s.args = 0, s.args[:0]
		}
	}
	for i := range fresh {
		if _, err := s.insert.Exec(s.args[i*columnCount : (i+1)*columnCount]...); err != nil {
			return err
		}
	}
	return nil
}

// saveChange updates a row in the database.
func (s *store) saveChange(r *row) error {
	args := append(s.change[:0], r.step, r.reason, r.updatedAt, r.wakesAt, r.parkedSince, r.stepsDone, r.undoing, int64(r.sequence))
	stmt := s.update
	if r.key != (key{r.status, r.statusSince}) {
		stmt, args = s.updateKey, append(args, int64(r.status), r.statusSince)
	}
	s.change = append(args, int64(r.id))
	_, err := stmt.Exec(s.change...)
	return err
}

// savePlan gives a plan its id and writes it, unless it is written.
func (s *store) savePlan(p *wire.Plan) error {
	if s.saved[p] || slices.Contains(s.unsaved, p) {
		return nil
	}
	id, known := s.planIDs[p]
	if !known {
		s.mu.Lock()
		id = int64(len(s.plans)) + 1
		s.plans[id], s.planIDs[p] = p, id
		s.mu.Unlock()
	}
	steps, err := json.Marshal(p.Steps)
	if err != nil {
		return err
	}
	if _, err := s.addPlan.Exec(id, p.Name, int64(p.Version), string(steps)); err != nil {
		return err
	}
	s.unsaved = append(s.unsaved, p)
	return nil
}
