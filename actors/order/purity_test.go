package order_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/internal/ordertest"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestPure: the core has no clock, no randomness and no I/O, starts nothing, and remembers nothing between calls.
func TestPure(t *testing.T) {
	allowed := map[string]bool{
		"errors": true, "fmt": true, "slices": true, "strings": true, "time": true,
		"google.golang.org/protobuf/proto":                    true,
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

// TestOnlyApplyChangesTheState: a decision leaves the state as it is, also when its events are never stored (I7).
func TestOnlyApplyChangesTheState(t *testing.T) {
	types := []messages.Type{
		messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip, messages.TypeWake,
	}
	results := []order.CallResult{
		{Reply: doneReply()}, {Reply: rejectedReply("no")}, {Reply: pendingReply("paid", epoch.Add(time.Hour))},
		{Reply: retryReply(time.Hour)}, {Failure: unavailable(messages.Transient)}, {Failure: unavailable(messages.Poison)},
		{Failure: unavailable(messages.Unreadable)}, {Failure: unavailable(messages.Rejected)}, {Failure: unavailable(messages.Setup)},
	}
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		before := h.fold(r, len(h.entries))
		check := func(decision string) {
			if d := ordertest.Difference(before, h.state); d != "" {
				r.Fatalf("%s changed the state: %s", decision, d)
			}
		}
		check("a decision in the history")
		env := order.Env{Plan: h.state.Plan, Now: epoch.Add(time.Minute), Hold: time.Second, Predecessors: order.PredecessorsNone}
		for _, kind := range types {
			order.Receive(h.state, newDelivery(kind, 100, "new"), env)
			check("Receive of " + string(kind))
		}
		h.state.Checkpoint(1)
		h.state.Snapshot()
		check("Checkpoint or Snapshot")
		if !h.state.Status.Driven() {
			return
		}
		h.state.GiveUp(unavailable(messages.Defect))
		check("GiveUp")
		call := h.state.Next().Call
		check("Next")
		h.state.Forgotten(call, "inventory", time.Second, env.Now)
		check("Forgotten")
		for _, result := range results {
			result.Call = call
			h.state.HandleReply(result, env)
			check("HandleReply")
		}
	})
}
