//go:build unix

package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// errLocked: another process has the index in this directory.
var errLocked = errors.New("another process has the index here")

// lockFile is locked with flock(2), and never removed: another process could lock a new file of the name.
const lockFile = "index.lock"

// lockDir creates the directory if it does not exist and locks the index in it until the file is closed or the process ends.
// The error wraps errLocked if another process has the lock.
func lockDir(dir string) (*os.File, error) {
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
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	return f, nil
}
