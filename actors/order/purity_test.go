package order_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestPure: the core has no clock, no randomness and no I/O, starts nothing, and remembers nothing between calls.
func TestPure(t *testing.T) {
	allowed := map[string]bool{
		"errors": true, "fmt": true, "slices": true, "strings": true, "time": true,
		"google.golang.org/protobuf/proto":                    true,
		"google.golang.org/protobuf/types/known/structpb":     true,
		"google.golang.org/protobuf/types/known/timestamppb":  true,
		"github.com/orderly-engine/orderly/messages":          true,
		"github.com/orderly-engine/orderly/messages/backoff":  true,
		"github.com/orderly-engine/orderly/messages/delivery": true,
	}
	values := map[string]bool{"Time": true, "Duration": true, "Microsecond": true, "Millisecond": true, "Second": true, "Minute": true, "Hour": true}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		seen++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !allowed[path] {
				t.Errorf("%s: the core must not import %s", set.Position(i.Pos()), path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: the core must not run anything by itself", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				p, ok := n.X.(*ast.Ident)
				if !ok {
					return true
				}
				if p.Name == "time" && !values[n.Sel.Name] {
					t.Errorf("%s: the core must not use time.%s", set.Position(n.Pos()), n.Sel.Name)
				}
				if p.Name == "timestamppb" && n.Sel.Name != "New" && n.Sel.Name != "Timestamp" {
					t.Errorf("%s: the core must not use timestamppb.%s", set.Position(n.Pos()), n.Sel.Name)
				}
				if p.Name == "fmt" && !strings.HasPrefix(n.Sel.Name, "Sprint") && n.Sel.Name != "Errorf" {
					t.Errorf("%s: the core must not use fmt.%s", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
	if seen == 0 {
		t.Fatal("no source files")
	}
}
