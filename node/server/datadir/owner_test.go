//go:build unix

package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwner: a file of another user is refused; a directory may also belong to root.
func TestOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	me, another := os.Geteuid(), os.Geteuid()+1
	for _, c := range []struct {
		user, other int
		ok          bool
	}{{me, me, true}, {another, another, false}, {another, me, true}} {
		if err := check(path, info, c.user, c.other); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
