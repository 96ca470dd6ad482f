//go:build unix

package embedded

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

// availableDisk is what this user can still write to the disk of dir, in bytes.
func availableDisk(dir string) (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil //nolint:unconvert // its type differs between systems
}

// storeLimit is nine tenths of the disk space that the store uses or can use, in bytes. Used space counts, or the limit would
// shrink with every restart.
func storeLimit(dir, store string) (int64, error) {
	available, err := availableDisk(dir)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(store, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			available += info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return available / 10 * 9, nil
}
