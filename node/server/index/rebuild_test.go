package index_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/index"
)

// logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// appendHistories appends histories of n new orders.
func (s *testServer) appendHistories(n int, prefix string) (histories []*history) {
	r := rand.New(rand.NewPCG(7, uint64(len(prefix))))
	for i := range n {
		one := newHistory(r, fmt.Sprintf("%s-%d", prefix, i))
		for range 6 {
			if e := one.next(); e != nil {
				one.sequences = append(one.sequences, s.append(e))
			}
		}
		histories = append(histories, one)
	}
	return histories
}

// execSQL runs a statement on the database, bypassing the index.
func execSQL(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// TestRebuild: an index that is unusable, or does not belong to the journal, is rebuilt; another one is not.
func TestRebuild(t *testing.T) {
	t.Parallel()
	// A rebuild would undo it: it marks the old database.
	const mark = "UPDATE orders SET customer = 'marked'"
	for name, c := range map[string]struct {
		damage func(*testing.T, *testServer, string)
		cfg    index.Config
		says   string
		keeps  bool
	}{
		"usable":  {damage: func(*testing.T, *testServer, string) {}, keeps: true},
		"asked":   {damage: func(*testing.T, *testServer, string) {}, cfg: index.Config{Rebuild: true}, says: "requested"},
		"deleted": {damage: func(t *testing.T, _ *testServer, dir string) { removeDatabase(t, dir) }},
		"version": {damage: func(t *testing.T, _ *testServer, dir string) { execSQL(t, dir, "PRAGMA user_version = 999") }, says: "another version"},
		"no database": {damage: func(t *testing.T, _ *testServer, dir string) {
			write(t, filepath.Join(dir, "index.db"), strings.Repeat("not a database ", 1000))
		}, says: "corrupt"},
		"cut off": {damage: func(t *testing.T, _ *testServer, dir string) {
			if err := os.Truncate(filepath.Join(dir, "index.db"), 5000); err != nil {
				t.Fatal(err)
			}
		}, says: "corrupt"},
		"no table": {damage: func(t *testing.T, _ *testServer, dir string) { execSQL(t, dir, "DROP TABLE orders") }, says: "corrupt"},
		"no index": {damage: func(t *testing.T, _ *testServer, dir string) { execSQL(t, dir, "DROP INDEX orders_by_status") }, says: "corrupt"},
		"other entry": {damage: func(t *testing.T, _ *testServer, dir string) {
			execSQL(t, dir, "UPDATE progress SET checksum = checksum + 1")
		}, says: "another entry"},
		"shorter": {damage: func(t *testing.T, _ *testServer, dir string) {
			execSQL(t, dir, "UPDATE progress SET last = last + 1000")
		}, says: "ends at sequence"},
		"too old": {damage: func(t *testing.T, _ *testServer, dir string) {
			execSQL(t, dir, fmt.Sprintf("UPDATE progress SET as_of = %d", time.Now().Add(-721*time.Hour).UnixNano()))
		}, says: "not updated for longer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := newTestServer(t), t.TempDir()
			histories := s.appendHistories(20, "o")
			x, stop := s.run(index.Config{Dir: dir, Hold: 1})
			waitCaughtUp(t, x)
			stop()
			execSQL(t, dir, mark)
			execSQL(t, dir, "PRAGMA wal_checkpoint(TRUNCATE)")
			c.damage(t, s, dir)
			lines := &logBuffer{}
			c.cfg.Dir, c.cfg.Logger = dir, lines.logger()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the index logged:\n%s", lines)
				}
			})
			x, _ = s.run(c.cfg)
			waitCaughtUp(t, x)
			if c.keeps {
				for _, o := range listAll(t, x, index.Query{}, 100) {
					if o.CustomerID != "marked" {
						t.Fatalf("%+v: rebuilt", o)
					}
				}
			} else {
				requireIndexed(t, x, histories)
			}
			if c.says != "" && !strings.Contains(lines.String(), c.says) {
				t.Errorf("%q is not in the log:\n%s", c.says, lines)
			}
			if c.keeps && strings.Contains(lines.String(), "rebuilding") {
				t.Errorf("the log says:\n%s", lines)
			}
			if _, err := os.Stat(filepath.Join(dir, "index.db.broken")); (err == nil) != (c.says == "corrupt") {
				t.Errorf("the broken database: %v", err)
			}
		})
	}
}

func removeDatabase(t *testing.T, dir string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "index.db"+suffix)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecreatedJournal: the index of a journal that was deleted and recreated has the orders of the new one only, whether
// that happens between two runs or during one.
func TestRecreatedJournal(t *testing.T) {
	t.Parallel()
	s, dir := newTestServer(t), t.TempDir()
	s.appendHistories(20, "old")
	x, stop := s.run(index.Config{Dir: dir})
	waitCaughtUp(t, x)
	stop()
	again := func() {
		if err := s.js.DeleteStream(t.Context(), messages.StreamEvents); err != nil {
			t.Fatal(err)
		}
		if err := ingress.EnsureStreams(t.Context(), s.js, ingress.Streams{}); err != nil {
			t.Fatal(err)
		}
	}
	again()
	histories := s.appendHistories(30, "new")
	x, _ = s.run(index.Config{Dir: dir})
	waitCaughtUp(t, x)
	requireIndexed(t, x, histories)
	again()
	histories = s.appendHistories(3, "newest")
	natstest.Eventually(t, "the new journal", func() bool {
		p, err := x.List(t.Context(), index.Query{})
		return err == nil && !p.Rebuilding && len(p.Orders) > 0 && strings.HasPrefix(p.Orders[0].OrderID, "newest")
	})
	waitCaughtUp(t, x)
	requireIndexed(t, x, histories)
}

// TestHoles: orders that retention removed leave gaps in the journal's sequences; the entries around them are read.
func TestHoles(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	histories := s.appendHistories(40, "o")
	stream, err := s.js.Stream(t.Context(), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var kept []*history
	for i, one := range histories {
		if i%3 != 1 {
			kept = append(kept, one)
		} else if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(messages.SubjectEvent+one.id)); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, x)
	requireIndexed(t, x, kept)

	// A removed order may be accepted again.
	again := newHistory(rand.New(rand.NewPCG(1, 1)), kept[0].id)
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(messages.SubjectEvent+again.id)); err != nil {
		t.Fatal(err)
	}
	for again.state.Status == 0 {
		if e := again.next(); e != nil {
			again.sequences = append(again.sequences, s.append(e))
		}
	}
	kept[0] = again
	waitCaughtUp(t, x)
	requireIndexed(t, x, kept)
}

// TestInvalidEntries: messages that are not journal entries, or belong to an unknown order, do not stop the index.
func TestInvalidEntries(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	first := s.appendHistories(3, "o")
	bodies := []string{"", "hello", "{}", "\x0a\x03o-9\x10\x07", `{"stream":"ORDERS","seq":17}`}
	for _, h := range first {
		for _, e := range h.entries[1:] { // copies of entries
			body, err := journal.Encode(nil, e)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, string(body))
		}
	}
	for _, body := range bodies {
		if _, err := s.js.PublishMsg(t.Context(), &nats.Msg{Subject: messages.SubjectEvent + "o-9", Data: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	lines := &logBuffer{}
	x, _ := s.run(index.Config{Dir: t.TempDir(), Logger: lines.logger()})
	second := s.appendHistories(3, "later")
	waitCaughtUp(t, x)
	requireIndexed(t, x, append(first, second...))
	if n := strings.Count(lines.String(), "skipped by the index"); n != 1 {
		t.Errorf("%d logs of skipped messages, want 1:\n%s", n, lines)
	}
}

// TestRetention removes the rows of orders that ended longer ago than that, and no others.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	histories := s.appendHistories(60, "o")
	x, _ := s.run(index.Config{Dir: t.TempDir(), Retention: time.Second})
	want := 0
	for _, one := range histories {
		if !one.state.Status.Terminal() && len(one.entries) > 0 {
			want++
		}
	}
	if want == len(histories) {
		t.Fatal("no order has ended")
	}
	natstest.Eventually(t, "only the orders that have not ended", func() bool {
		page, err := x.List(t.Context(), index.Query{Limit: 1000})
		return err == nil && !page.Rebuilding && len(page.Orders) == want
	})
}

// TestOneProcess: of two processes that share a directory one has the index, and the other takes over.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	s, dir := newTestServer(t), t.TempDir()
	histories := s.appendHistories(5, "o")
	first, stop := s.run(index.Config{Dir: dir, Node: "n-1"})
	waitCaughtUp(t, first)
	lines := &logBuffer{}
	second, _ := s.run(index.Config{Dir: dir, Node: "n-2", Logger: lines.logger()})
	natstest.Eventually(t, "a warning", func() bool { return strings.Contains(lines.String(), "another process has the index") })
	if _, err := second.List(t.Context(), index.Query{}); err == nil {
		t.Fatal("two indexes in one directory")
	}
	page, err := index.Ask(t.Context(), s.nc, index.Query{})
	if err != nil || page.Node != "n-1" {
		t.Fatalf("%+v, error %v: want an answer of n-1", page, err)
	}
	stop()
	waitCaughtUp(t, second)
	requireIndexed(t, second, histories)
}

// TestDirectoryThatCannotBeWritten: the node has no index, logs that once, and has it when the directory is writable.
func TestDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s, dir := newTestServer(t), filepath.Join(t.TempDir(), "data")
	write(t, dir, "in the way")
	histories := s.appendHistories(5, "o")
	lines := &logBuffer{}
	x, _ := s.run(index.Config{Dir: dir, Logger: lines.logger()})
	natstest.Eventually(t, "a warning", func() bool { return strings.Contains(lines.String(), "no index on this node, retrying") })
	if _, ok := x.Lag(); ok {
		t.Error("an index without a directory")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	waitCaughtUp(t, x)
	requireIndexed(t, x, histories)
	if n := strings.Count(lines.String(), "no index on this node"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, lines)
	}
}
