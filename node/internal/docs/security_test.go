package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModel: each line of the table in SECURITY.md names tests, and they exist.
func TestThreatModel(t *testing.T) {
	tests := testFunctions(t)
	_, table, found := strings.Cut(read(t, "SECURITY.md"), "### What others can try\n")
	table, _, ended := strings.Cut(table, "\n### ")
	if !found || !ended {
		t.Fatal("SECURITY.md has no section \"What others can try\" before another one")
	}
	named := regexp.MustCompile("`([a-z/]+) (Test[A-Za-z0-9_]+)`")
	lines := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| who ") {
			continue
		}
		lines++
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " |"), " | ")
		names := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(names) == 0 {
			t.Errorf("no test in: %s", line)
		}
		for _, name := range names {
			if !tests[name[1]+" "+name[2]] {
				t.Errorf("%s has no %s", name[1], name[2])
			}
		}
	}
	if lines == 0 {
		t.Error("the table is empty")
	}
}

// testFunctions are the tests of the repository, as "directory TestName".
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, name := range function.FindAllSubmatch(source, -1) {
			found[filepath.ToSlash(dir)+" "+string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
