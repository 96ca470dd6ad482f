//go:build unix

// Package datadir opens a node's data directory and the files of the node in it. It follows no symbolic link to either, and
// refuses what another user could have placed there or could replace.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked is wrapped by the error of Lock when another process has the lock.
var ErrLocked = errors.New("locked by another process")

const (
	dirMode  = 0o750
	fileMode = 0o600
	// writableByAll is the permission of everyone to write.
	writableByAll = 0o002
	root          = 0
)

// Make creates dir if it does not exist. The error says what to do if dir is not safe to use.
func Make(dir string) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link: name the directory that it points to", dir)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return check(dir, info, os.Geteuid(), root)
}

// OpenFile opens the file of that name in dir to read and write, and creates it with mode 0600 if it does not exist. A symbolic
// link, and a file that is not regular, of another user, or writable by everyone is an error.
func OpenFile(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	// Without O_NONBLOCK a named pipe would block.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, fileMode)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: remove it", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file: remove it", path)
	default:
		err = check(path, info, os.Geteuid(), os.Geteuid())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Lock opens the file of that name in dir and locks it with flock(2) until it is closed or the process ends. The file must never
// be removed: a lock on a removed file does not exclude others. If the error wraps ErrLocked, the file is open but not locked.
func Lock(dir, name string) (*os.File, error) {
	f, err := OpenFile(dir, name)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return f, ErrLocked
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
}

// check returns an error unless the file belongs to one of two users and not everyone can write to it.
func check(path string, info os.FileInfo, user, other int) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s is unknown", path)
	}
	if owner := int(stat.Uid); owner != user && owner != other {
		return fmt.Errorf("%s belongs to user %d, and this process runs as user %d: change its owner, or use a directory of this user", path, owner, user)
	}
	if info.Mode().Perm()&writableByAll != 0 {
		return fmt.Errorf("%s is writable by everyone: chmod o-w it, or use a directory in it, which the node creates for itself", path)
	}
	return nil
}
