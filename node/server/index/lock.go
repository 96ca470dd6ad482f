//go:build unix

package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// errHeld: another process keeps the index in this directory.
var errHeld = errors.New("another process keeps the index here")

// lockFile is locked with flock(2), and never removed: a lock on a removed file keeps nobody out.
const lockFile = "index.lock"

// acquire makes the directory if need be and locks the index in it until the file is closed. The kernel lets go of the
// lock when the process ends, however it ends. The error wraps errHeld when another process has it.
func acquire(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // it holds nothing
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	return f, nil
}
