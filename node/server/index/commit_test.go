package index_test

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestEveryCommit: whenever the process ends, the database has every entry up to the sequence that it names. SQLite's log has
// each commit since the database was created: cut after one of them it is what a crash at that time leaves.
func TestEveryCommit(t *testing.T) {
	t.Parallel()
	f := newManual(t, rand.New(rand.NewPCG(3, 4)))
	for range 40 {
		for range 5 {
			f.newOrder()
			f.takeNext(f.histories[f.r.IntN(len(f.histories))])
		}
		f.write()
	}
	database, log := read(t, filepath.Join(f.dir, "index.db")), read(t, filepath.Join(f.dir, "index.db-wal"))

	commits, moved := commitsOf(log), uint64(0)
	for _, end := range commits {
		left := t.TempDir()
		write(t, filepath.Join(left, "index.db"), string(database))
		write(t, filepath.Join(left, "index.db-wal"), string(log[:end]))
		moved = max(moved, requireComplete(t, left, f.histories))
	}
	if len(commits) < 30 || moved == 0 {
		t.Errorf("%d commits, the last of which names sequence %d: that tries too little", len(commits), moved)
	}
}

// commitsOf are the ends of those frames of a write-ahead log that commit, as https://sqlite.org/fileformat2.html says.
func commitsOf(log []byte) (ends []int) {
	const header, frameHeader = 32, 24
	frame := frameHeader + int(binary.BigEndian.Uint32(log[8:]))
	for end := header + frame; end <= len(log); end += frame {
		if size := binary.BigEndian.Uint32(log[end-frame+4:]); size > 0 {
			ends = append(ends, end)
		}
	}
	return ends
}

// requireComplete checks that the database in dir has every entry up to the sequence it names, which it returns.
func requireComplete(t *testing.T, dir string, histories []*history) (cursor uint64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables == 0 {
		return 0
	}
	if err := db.QueryRow("SELECT cursor FROM progress").Scan(&cursor); err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	for _, one := range histories {
		var last, got uint64
		for _, sequence := range one.sequences {
			if sequence <= cursor {
				last = sequence
			}
		}
		if err := db.QueryRow("SELECT sequence FROM orders WHERE order_id = ?", one.id).Scan(&got); err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		if got < last {
			t.Errorf("the index has the cursor %d, but order %s only up to %d: %d is lost", cursor, one.id, got, last)
		}
	}
	return cursor
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
