package index

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/orderly-engine/orderly/node/server/datadir"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// errCorrupt: the database cannot be used any more. It has nothing that the journal does not have.
var errCorrupt = errors.New("the database is corrupt")

// errVersion: the database was written by another version of this program.
var errVersion = errors.New("the database is of another version")

const (
	databaseFile = "index.db"
	// corruptFile is the last corrupt database, kept for an analysis.
	corruptFile = "index.db.broken"
	// readers is the largest number of concurrent queries.
	readers = 4
)

// store is the database: one connection that writes, and some that read what is committed.
type store struct {
	write *sql.DB
	read  *sql.DB
	conn  *sql.Conn

	insert, insertMany, update, updateKey, lookup, begin, commit, rollback, progress, addPlan, forget *sql.Stmt

	// plans by their id: those in the database and those of the current transaction. Only the writer changes them.
	mu    sync.RWMutex
	plans map[int64]*wire.Plan
	// planIDs are the ids by plan, saved the plans in the database, unsaved those of the current transaction. They belong to
	// the writer.
	planIDs map[*wire.Plan]int64
	saved   map[*wire.Plan]bool
	unsaved []*wire.Plan
	// args and change are reused for each statement.
	args, change []any
}

// progress is how far the journal is read; see the schema.
type progress struct {
	streamCreated int64
	cursor        uint64
	last          uint64
	checksum      uint64
	asOf          int64
	caughtUp      bool
}

// openStore opens the database in dir, or creates it. The error wraps errCorrupt or errVersion if the database must be removed.
func openStore(dir string) (*store, progress, error) {
	path, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return nil, progress{}, fmt.Errorf("open the index: %w", err)
	}
	s := &store{plans: map[int64]*wire.Plan{}, planIDs: map[*wire.Plan]int64{}, saved: map[*wire.Plan]bool{}}
	p, err := s.open(path)
	if err != nil {
		s.close()
		return nil, progress{}, fmt.Errorf("open the index: %w", err)
	}
	return s, p, nil
}

func (s *store) open(path string) (p progress, err error) {
	// SQLite gives its other files the same mode.
	file, err := datadir.OpenFile(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return p, err
	}
	if err := file.Close(); err != nil {
		return p, err
	}
	if s.write, err = sql.Open("sqlite", dsn(path, "synchronous(normal)", "cache_size(-32000)", "wal_autocheckpoint(8000)")); err != nil {
		return p, err
	}
	s.write.SetMaxOpenConns(1)
	ctx := context.Background()
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return p, asCorrupt(err)
	}
	if err := s.ensureSchema(ctx); err != nil {
		return p, asCorrupt(err)
	}
	if err := s.prepare(ctx); err != nil {
		return p, asCorrupt(err)
	}
	if err := s.loadPlans(ctx); err != nil {
		return p, asCorrupt(err)
	}
	row := s.conn.QueryRowContext(ctx, "SELECT stream_created, cursor, last, checksum, as_of, caught_up FROM progress")
	var checksum int64
	err = row.Scan(&p.streamCreated, &p.cursor, &p.last, &checksum, &p.asOf, &p.caughtUp)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, asCorrupt(err)
	}
	p.checksum = uint64(checksum)
	if s.read, err = sql.Open("sqlite", dsn(path, "query_only(true)", "cache_size(-8000)")); err != nil {
		return p, err
	}
	s.read.SetMaxOpenConns(readers)
	return p, nil
}

// dsn is the data source name of the database with the pragmas of its connections.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "journal_mode(wal)", "temp_store(memory)"}, pragmas...)}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

func (s *store) ensureSchema(ctx context.Context) error {
	var found, tables int
	if err := s.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return err
	}
	if found == version {
		return nil
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if found != 0 || tables != 0 {
		return errVersion
	}
	_, err := s.conn.ExecContext(ctx, fmt.Sprintf("BEGIN; %s; PRAGMA user_version = %d; COMMIT", schema, version))
	return err
}

func (s *store) loadPlans(ctx context.Context) error {
	rows, err := s.conn.QueryContext(ctx, "SELECT id, name, version, steps FROM plans")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := &wire.Plan{}
		var id int64
		var steps string
		if err := rows.Scan(&id, &p.Name, &p.Version, &steps); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(steps), &p.Steps); err != nil {
			return fmt.Errorf("%w: steps of plan %d: %w", errCorrupt, id, err)
		}
		s.plans[id], s.planIDs[p], s.saved[p] = p, id, true
	}
	return rows.Err()
}

// knownPlans lists the plans in the database.
func (s *store) knownPlans() []*wire.Plan {
	s.mu.RLock()
	defer s.mu.RUnlock()
	known := make([]*wire.Plan, 0, len(s.plans))
	for _, p := range s.plans {
		known = append(known, p)
	}
	return known
}

// planOf returns the plan of an id, or nil.
func (s *store) planOf(id int64) *wire.Plan {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.plans[id]
}

func (s *store) close() {
	if s.read != nil {
		_ = s.read.Close() // it only reads
	}
	for _, stmt := range []*sql.Stmt{
		s.insert, s.insertMany, s.update, s.updateKey, s.lookup, s.begin, s.commit, s.rollback, s.progress, s.addPlan, s.forget,
	} {
		if stmt != nil {
			_ = stmt.Close() // an open one keeps the database and its files open as long as the process runs
		}
	}
	if s.conn != nil {
		_ = s.conn.Close() // entries whose rows are not committed are read again
	}
	if s.write != nil {
		_ = s.write.Close()
	}
}

// asCorrupt wraps errCorrupt around an error, unless it is temporary or a fault of the disk. The others are errors of the
// database itself and values that the index never writes.
func asCorrupt(err error) error {
	for _, other := range []error{context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, errVersion, errCorrupt} {
		if err == nil || errors.Is(err, other) {
			return err
		}
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOLFS:
			return err
		}
	}
	return fmt.Errorf("%w: %w", errCorrupt, err)
}

// removeDatabase deletes the closed database, or renames it to corruptFile.
func removeDatabase(dir string, keep bool) error {
	name := filepath.Join(dir, databaseFile)
	var errs []error
	if keep {
		errs = append(errs, os.Rename(name, filepath.Join(dir, corruptFile)))
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(name + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the index: %w", err)
	}
	return nil
}
