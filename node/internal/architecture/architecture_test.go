// Package architecture_test checks which packages import which: messages imports nothing of the project; supervision, actors
// and ingress import messages and never each other; node joins them, and its packages form layers; the core of an order and the
// fold that checks it are pure.
package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/orderly-engine/orderly"
	root   = "../../.."
	core   = "actors/order"
	// testKit is the package with the servers and waits of the tests.
	testKit = "messages/natstest"
)

// arrows lists the top-level directories and what each may import of the others, tests included.
var arrows = map[string][]string{
	"messages":    {},
	"supervision": {"messages"},
	"actors":      {"messages"},
	"ingress":     {"messages"},
	"node":        {"messages", "supervision", "actors", "ingress"},
	"deploy":      {},
}

// nodePackages lists the packages below node, lowest layer first, and what each may import of those before it: so there is no
// cycle, no package of the node but the binary and the tests of the documents imports cli, and the library (engine and
// engine/client) does not import the server.
var nodePackages = []struct {
	dir     string
	imports []string
}{
	{"timeline", nil},
	{"cause", nil},
	{"audit", []string{"cause"}},
	{"demo", nil},
	{"servicecheck", nil},
	{"permission", []string{"demo"}},
	{"engine", []string{"permission"}},
	{"engine/client", []string{"timeline", "engine"}},
	{"engine/enginetest", []string{"timeline", "engine"}},
	{"conformance", []string{"timeline", "engine", "engine/client"}},
	{"server/config", nil},
	{"server/datadir", nil},
	{"server/telemetry", nil},
	{"server/embedded", []string{"server/datadir"}},
	{"server/index", []string{"cause", "server/datadir", "server/telemetry"}},
	{"server/api", []string{"timeline", "engine/client", "server/index", "server/telemetry"}},
	{"server", []string{
		"timeline", "demo", "permission", "engine", "engine/client",
		"server/config", "server/telemetry", "server/embedded", "server/index", "server/api",
	}},
	{"bench", []string{"demo", "engine", "server/telemetry", "server/embedded", "server/index"}},
	{"cli", []string{"timeline", "cause", "audit", "demo", "servicecheck", "permission", "engine/client", "server/config", "server/index", "server", "bench"}},
	{"orderly", []string{"cli"}},
	{"hostile", nil},
	{"internal", nil},
	{"internal/docs", []string{"cli"}},
}

// pure lists what a pure package may import besides messages and the protobuf types: nothing that reads a clock, draws random
// numbers, waits, logs, or does I/O. Read a package before you add it.
var pure = []string{"cmp", "errors", "fmt", "iter", "maps", "math", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8"}

// impure lists the calls of otherwise pure packages that read a clock or start one.
var impure = map[string][]string{
	"time":        {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"timestamppb": {"Now"},
	"fmt":         {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

func TestArrows(t *testing.T) {
	for from, allowed := range arrows {
		for _, f := range parse(t, from) {
			for _, path := range f.imports() {
				rest, ours := strings.CutPrefix(path, module+"/")
				if to, _, _ := strings.Cut(rest, "/"); ours && to != from && !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s: %s may import %v of the project", f.name, path, from, allowed)
				}
			}
		}
	}
}

// TestOnlyTestsImportTheTestKit keeps the test servers, and their dependencies, out of the binary.
func TestOnlyTestsImportTheTestKit(t *testing.T) {
	for from := range arrows {
		for _, f := range parse(t, from) {
			if !f.test() && slices.Contains(f.imports(), module+"/"+testKit) {
				t.Errorf("%s imports %s: only tests may", f.name, testKit)
			}
		}
	}
}

// Tests may import what is above their package, but not cli.
func TestNodeArrows(t *testing.T) {
	// longest match: engine/client is not engine
	packageOf := func(path string) string {
		best := ""
		for _, p := range nodePackages {
			if (path == p.dir || strings.HasPrefix(path, p.dir+"/")) && len(p.dir) > len(best) {
				best = p.dir
			}
		}
		return best
	}
	allowed := map[string][]string{}
	for _, p := range nodePackages {
		for _, i := range p.imports {
			if _, before := allowed[i]; !before {
				t.Errorf("%s may import %s, which is not listed before it", p.dir, i)
			}
		}
		allowed[p.dir] = p.imports
	}
	for _, f := range parse(t, "node") {
		dir, err := filepath.Rel(filepath.Join(root, "node"), filepath.Dir(f.name))
		if err != nil {
			t.Fatal(err)
		}
		from := packageOf(filepath.ToSlash(dir))
		if from == "" {
			t.Errorf("%s is in none of the packages that nodePackages lists", f.name)
		}
		for _, path := range f.imports() {
			rest, ours := strings.CutPrefix(path, module+"/node/")
			if to := packageOf(rest); ours && to != from && !slices.Contains(allowed[from], to) && (!f.test() || to == "cli") {
				t.Errorf("%s imports %s: node/%s may import %v of node", f.name, path, from, allowed[from])
			}
		}
	}
}

// TestCheckersDoNotTrustTheEngine: the audit and the crash tests check the engine, so they share neither its fold nor its
// policies. Tests of the audit compare both folds.
func TestCheckersDoNotTrustTheEngine(t *testing.T) {
	for _, dir := range []string{"node/audit", "node/internal/crash"} {
		for _, f := range parse(t, dir) {
			for _, path := range f.imports() {
				if (path == module+"/"+core || strings.HasPrefix(path, module+"/supervision")) && (!f.test() || dir != "node/audit") {
					t.Errorf("%s imports %s", f.name, path)
				}
			}
		}
	}
}

// TestJSONHasOnePlace: protojson writes other bytes in every build, and JSON text as a string.
func TestJSONHasOnePlace(t *testing.T) {
	for from := range arrows {
		for _, f := range parse(t, from) {
			// Plan files have fields with zero values, and no JSON text.
			if from != "messages" && !strings.HasSuffix(f.name, "node/cli/plan_show.go") && slices.Contains(f.imports(), "google.golang.org/protobuf/encoding/protojson") {
				t.Errorf("%s imports protojson: use MarshalJSON and UnmarshalJSON of package messages", f.name)
			}
		}
	}
}

func TestSupervisionDoesNotKnowNATS(t *testing.T) {
	for _, f := range parse(t, "supervision") {
		for _, path := range f.imports() {
			if strings.HasPrefix(path, "github.com/nats-io/") && !f.test() {
				t.Errorf("%s imports %s", f.name, path)
			}
		}
	}
}

func TestFoldsArePure(t *testing.T) {
	for _, f := range append(parse(t, core), parse(t, "node/audit/replay")...) {
		if f.test() {
			continue
		}
		for _, path := range f.imports() {
			if !strings.HasPrefix(path, module+"/messages") && !strings.HasPrefix(path, "google.golang.org/protobuf/") && !slices.Contains(pure, path) {
				t.Errorf("%s imports %s, which is not known to be pure", f.name, path)
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.at(n))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[pkg.Name], n.Sel.Name) {
					t.Errorf("%s uses %s.%s", f.at(n), pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestTestsDoNotSleep: a test waits for what happens; only under the simulated time of synctest may it sleep.
func TestTestsDoNotSleep(t *testing.T) {
	for dir := range arrows {
		for _, f := range parse(t, dir) {
			if !f.test() || slices.Contains(f.imports(), "testing/synctest") {
				continue
			}
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if call, ok := n.(*ast.SelectorExpr); ok && call.Sel.Name == "Sleep" {
					if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" {
						t.Errorf("%s sleeps outside synctest", f.at(call))
					}
				}
				return true
			})
		}
	}
}

func TestTopLevel(t *testing.T) {
	for _, dir := range directories(t) {
		if _, ok := arrows[dir]; !ok && dir != "docs" && !strings.HasPrefix(dir, ".") {
			t.Errorf("directory %s at the top level: want %v only", dir, slices.Sorted(maps.Keys(arrows)))
		}
	}
}

// directories lists the top-level directories, without those git ignores.
func directories(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "bin" && e.Name() != "data" && exec.Command("git", "-C", root, "check-ignore", "-q", e.Name()).Run() != nil {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs
}

type file struct {
	name string
	set  *token.FileSet
	tree *ast.File
}

func (f file) test() bool           { return strings.HasSuffix(f.name, "_test.go") }
func (f file) at(n ast.Node) string { return f.set.Position(n.Pos()).String() }

func (f file) imports() []string {
	var paths []string
	for _, i := range f.tree.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, path)
	}
	return paths
}

// parse reads the Go files below dir.
func parse(t *testing.T, dir string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(filepath.Join(root, dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		files = append(files, file{name, set, tree})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files below %s", dir)
	}
	return files
}
