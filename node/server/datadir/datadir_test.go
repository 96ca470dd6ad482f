//go:build unix

package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orderly-engine/orderly/node/server/datadir"
)

// must fails the test if err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused fails the test unless err says why.
func refused(t *testing.T, err error, why string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want an error that says %q", err, why)
	}
}

func TestMake(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "data")
	must(t, datadir.Make(dir))
	must(t, datadir.Make(dir+"/"))
	info, err := os.Stat(dir)
	must(t, err)
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		t.Errorf("created with mode %o: others can read it", mode)
	}

	link := filepath.Join(base, "link")
	must(t, os.Symlink(dir, link))
	refused(t, datadir.Make(link), "is a symbolic link")
	refused(t, datadir.Make(link+"/"), "is a symbolic link")
	dangling := filepath.Join(base, "dangling")
	must(t, os.Symlink(filepath.Join(base, "elsewhere"), dangling))
	refused(t, datadir.Make(dangling), "is a symbolic link")

	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	refused(t, datadir.Make(file), "not a directory")

	must(t, os.Chmod(dir, 0o1777))
	refused(t, datadir.Make(dir), "is writable by everyone")
	must(t, datadir.Make(filepath.Join(dir, "own"))) // as the error advises
}

// TestOpenFileFollowsNoLink: a link to a file of somebody else's choice is refused, and that file stays as it is.
func TestOpenFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("keep"), 0o600))
	must(t, os.Symlink(victim, filepath.Join(dir, "link")))
	must(t, os.Symlink(filepath.Join(dir, "nothing"), filepath.Join(dir, "dangling")))
	for _, name := range []string{"link", "dangling"} {
		_, err := datadir.OpenFile(dir, name)
		refused(t, err, "is a symbolic link")
		_, err = datadir.Lock(dir, name)
		refused(t, err, "is a symbolic link")
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "keep" {
		t.Errorf("the file behind the link has %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was created behind the link: %v", err)
	}
}

func TestOpenFileRefusesWhatOthersCanChange(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	_, err := datadir.OpenFile(dir, "dir")
	refused(t, err, "is a directory")
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err = datadir.OpenFile(dir, "pipe")
	refused(t, err, "not a regular file")
	open := filepath.Join(dir, "open")
	must(t, os.WriteFile(open, nil, 0o600))
	must(t, os.Chmod(open, 0o666)) // past the umask
	_, err = datadir.OpenFile(dir, "open")
	refused(t, err, "is writable by everyone")
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	held, err := datadir.Lock(dir, "lock")
	must(t, err)
	if info, err := held.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	second, err := datadir.Lock(dir, "lock")
	if !errors.Is(err, datadir.ErrLocked) {
		t.Errorf("got %v", err)
	}
	must(t, second.Close())
	must(t, held.Close())
	third, err := datadir.Lock(dir, "lock")
	must(t, err)
	must(t, third.Close())
}
