//go:build unix

package index

import (
	"errors"
	"fmt"
	"os"

	"github.com/orderly-engine/orderly/node/server/datadir"
)

// errLocked: another process has the index in this directory.
var errLocked = errors.New("another process has the index here")

const lockFile = "index.lock"

// lockDir creates the directory if it does not exist and locks the index in it until the file is closed or the process ends.
// The error wraps errLocked if another process has the lock.
func lockDir(dir string) (*os.File, error) {
	if err := datadir.Make(dir); err != nil {
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	f, err := datadir.Lock(dir, lockFile)
	switch {
	case errors.Is(err, datadir.ErrLocked):
		return nil, errors.Join(errLocked, f.Close())
	case err != nil:
		return nil, fmt.Errorf("lock the index: %w", err)
	}
	return f, nil
}
