package server

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/messages/health"
)

// fakeStore is a store whose failures and disk a test sets.
type fakeStore struct {
	failure, disk error
	// mended: reopening ends the failure.
	mended   bool
	reopened int
	// hang is how long a reopening takes.
	hang time.Duration
}

func (s *fakeStore) Failure() error  { return s.failure }
func (s *fakeStore) CanWrite() error { return s.disk }
func (s *fakeStore) Reopen() error {
	time.Sleep(s.hang)
	s.reopened++
	if s.mended {
		s.failure = nil
	}
	return nil
}

var errFull = errors.New("no space left on device")

// looks looks n times at the store, a second apart, and returns the first error.
func (w *storeWatch) looks(n int) error {
	for range n {
		if err := w.look(time.Now()); err != nil {
			return err
		}
		time.Sleep(storeInterval)
	}
	return nil
}

func watchFake(s *fakeStore) (*storeWatch, *health.Monitor) {
	m := &health.Monitor{}
	return &storeWatch{store: s, check: m.Check("store", 0), log: slog.New(slog.DiscardHandler)}, m
}

func TestStoreIsReopenedWhenTheDiskTakesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{disk: errFull, mended: true}
		w, m := watchFake(s)
		if err := w.looks(1); err != nil || m.Err() != nil {
			t.Fatal(err, m.Err())
		}
		s.failure = errors.New("write error")
		if err := w.looks(1); err != nil || m.Err() != nil {
			t.Errorf("one failed look counts: %v, %v", err, m.Err())
		}
		if err := w.looks(60); err != nil || s.reopened != 0 {
			t.Errorf("with a full disk: %v, reopened %d times", err, s.reopened)
		}
		if err := m.Err(); err == nil || !strings.Contains(err.Error(), "store: write error; the disk takes no writes yet: no space left") {
			t.Errorf("the reason is %v", err)
		}
		s.disk = nil
		if err := w.looks(2); err != nil || s.reopened != 1 || m.Err() != nil {
			t.Errorf("with room: %v, reopened %d times, failing: %v", err, s.reopened, m.Err())
		}
	})
}

func TestStoreThatStaysBrokenEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{}
		w, _ := watchFake(s)
		_ = w.looks(1)
		s.failure = errors.New("write error")
		began := time.Now()
		err := w.looks(100)
		if err == nil || s.reopened != maxReopened || time.Since(began) < maxReopened*reopenPause {
			t.Errorf("%v after %s, reopened %d times", err, time.Since(began), s.reopened)
		}
	})
}

// Reopening cannot help a store that has not worked since the start, such as one with a damaged stream of others.
func TestStoreThatNeverWorkedIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{failure: errors.New("stream OTHER could not be recovered")}
		w, m := watchFake(s)
		if err := w.looks(100); err != nil || s.reopened != 0 || m.Err() != nil {
			t.Errorf("%v, reopened %d times, failing: %v", err, s.reopened, m.Err())
		}
	})
}

func TestReopeningThatHangsIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{hang: 2 * reopenTimeout, mended: true}
		w, _ := watchFake(s)
		_ = w.looks(1)
		s.failure = errors.New("write error")
		done := make(chan error)
		go func() { done <- w.looks(3) }()
		time.Sleep(reopenTimeout)
		if err := w.live(); err != nil {
			t.Errorf("not live within the time limit: %v", err)
		}
		time.Sleep(reopenTimeout / 2)
		if err := w.live(); err == nil {
			t.Error("live, though the reopening hangs")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := w.live(); err != nil {
			t.Errorf("not live after the reopening: %v", err)
		}
	})
}
