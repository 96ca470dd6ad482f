//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/orderly-engine/orderly/node/server/datadir"
)

// ErrLocked is wrapped by the error of Start when another process uses the data directory.
var ErrLocked = errors.New("data directory in use")

// lockFile is locked and contains a description of its holder.
const lockFile = "orderly.lock"

// maxHolder bounds the description of the holder, in bytes.
const maxHolder = 256

// lock is the lock of this process on a data directory. The kernel releases it when the process ends.
type lock struct{ file *os.File }

// acquire creates dir if necessary and locks it.
func acquire(dir string) (*lock, error) {
	if err := datadir.Make(dir); err != nil {
		return nil, unwritable(dir, err)
	}
	f, err := datadir.Lock(dir, lockFile)
	switch {
	case errors.Is(err, datadir.ErrLocked):
		defer f.Close()
		return nil, fmt.Errorf("%w: %s is held by %s: stop that process, or set ORDERLY_DATA_DIR to another directory", ErrLocked, dir, holder(f))
	case err != nil:
		return nil, unwritable(dir, err)
	}
	l := &lock{file: f}
	if err := l.writeHolder(); err != nil {
		l.release()
		return nil, unwritable(dir, err)
	}
	return l, nil
}

// writeHolder writes the description of this process.
func (l *lock) writeHolder() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	_, err = l.file.WriteAt(fmt.Appendf(nil, "process %d on %s, started %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339)), 0)
	return err
}

// release unlocks. The description is removed first, before another process can write its own.
func (l *lock) release() {
	_ = l.file.Truncate(0) // only a description
	_ = l.file.Close()     // the kernel releases the lock with the last descriptor
}

// holder is the description of the process that holds the lock.
func holder(f *os.File) string {
	description, err := io.ReadAll(io.NewSectionReader(f, 0, maxHolder))
	if s := strings.TrimSpace(string(description)); err == nil && s != "" {
		return s
	}
	return "another process"
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("data directory %s cannot be used: %w: set ORDERLY_DATA_DIR to a directory on a local disk that this user may write", dir, err)
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
