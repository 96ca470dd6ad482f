package reading

import (
	"fmt"
	"regexp"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxCost stops an evaluation; see costs.
	maxCost = 100_000
	// maxPattern is the size of the largest regular expression, in instructions, and maxSearch that of the longest text that
	// it is applied to, in bytes: the time of a search is in the order of their product.
	maxPattern = 200
	maxSearch  = 16 << 10
)

// bounds returns what keeps every evaluation of an expression short, whatever the body. The cost of an operation counts when
// it has been performed, so an operation that can take long in itself has a bound of its own.
func bounds(tree ast.Expr) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.CostLimit(maxCost),
		cel.CostTracking(costs{pattern: largestPattern(tree)}),
		cel.OptimizeRegex(&interpreter.RegexOptimization{Function: matches, RegexIndex: 1, Factory: boundedSearch}),
		cel.CustomDecoratorV2(boundComparison),
	}
}

// costs are the costs of function calls. CEL's own depend on the types that are known before the evaluation: to it, a call
// with parts of the body costs nearly nothing. A unit is about an operation, a member that a macro or in visits or + adds, 64
// bytes of a text, or 32 steps of a search.
type costs struct {
	// pattern is the size of the largest regular expression.
	pattern int
}

// CallCost implements cost.ActualCostEstimator.
func (c costs) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	cost := uint64(1)
	for _, a := range args {
		cost += textCost(a)
	}
	switch function {
	case operators.In:
		if list, ok := args[1].(traits.Lister); ok {
			cost += uint64(size(list)) * (1 + textCost(args[0]))
		}
	case operators.Add:
		// Macros build their results by adding lists of one element.
		cost += uint64(size(args[1]))
	case matches:
		if text, ok := args[0].(types.String); ok {
			cost += uint64(len(text)*c.pattern) / 32
		}
	}
	return &cost
}

func textCost(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)) / 64
	case types.Bytes:
		return uint64(len(v)) / 64
	}
	return 0
}

// boundComparison replaces the operators that compare lists and objects by ones that do not: CEL does not count what the
// comparison of nested values costs.
func boundComparison(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := node.(interpreter.InterpretableCall)
	if !ok {
		return node, nil
	}
	var compare func(a, b ref.Val) ref.Val
	switch call.Function() {
	case operators.Equals:
		compare = types.Equal
	case operators.NotEquals:
		compare = func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) }
	case operators.In:
		compare = contains
	default:
		return node, nil
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		if a := args[0]; size(a) > 0 && (size(args[1]) > 0 || call.Function() == operators.In) {
			return types.NewErr("it compares lists or objects: compare their members, or use size()")
		}
		return compare(args[0], args[1])
	}), nil
}

func contains(element, in ref.Val) ref.Val {
	if c, ok := in.(traits.Container); ok {
		return c.Contains(element)
	}
	return types.MaybeNoSuchOverloadErr(in)
}

// size returns the number of members of a list or an object; 0 for any other value.
func size(v ref.Val) types.Int {
	switch v := v.(type) {
	case traits.Lister:
		return v.Size().(types.Int)
	case traits.Mapper:
		return v.Size().(types.Int)
	}
	return 0
}

// matches is the function that searches for a regular expression.
const matches = "matches"

// patternsOf returns the arguments that are regular expressions.
func patternsOf(tree ast.Expr) (all []ast.Expr) {
	ast.PreOrderVisit(tree, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == matches {
			args := e.AsCall().Args()
			all = append(all, args[len(args)-1])
		}
	}))
	return all
}

// largestPattern returns the size of the largest regular expression, in instructions.
func largestPattern(tree ast.Expr) (largest int) {
	for _, p := range patternsOf(tree) {
		if n, err := types.RegexProgramSize(fmt.Sprint(p.AsLiteral().Value())); err == nil {
			largest = max(largest, n)
		}
	}
	return largest
}

// boundedSearch makes a call of matches with a literal pattern.
func boundedSearch(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	n, err := types.RegexProgramSize(pattern)
	if err != nil {
		return nil, err
	}
	if n > maxPattern {
		return nil, fmt.Errorf("the pattern %.40q has %d instructions: at most %d are allowed", pattern, n, maxPattern)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		text, ok := args[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(args[0])
		}
		if len(text) > maxSearch {
			return types.NewErr("matches: the text has %d bytes: at most %d are allowed", len(text), maxSearch)
		}
		return types.Bool(compiled.MatchString(string(text)))
	}), nil
}
