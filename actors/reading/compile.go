package reading

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/orderly-engine/orderly/messages"
)

const (
	// maxExpression is the size of the largest expression, in bytes.
	maxExpression = 1 << 10
	// maxNesting is the deepest nesting of an expression.
	maxNesting = 50
)

// FieldError is what is wrong with one field of a Reading.
type FieldError struct {
	// Field is its name, such as done_when; empty if the Reading as a whole is wrong.
	Field string
	// Problem says what is wrong, in one line.
	Problem string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// Errors is the error of Compile: everything that is wrong with a Reading.
type Errors []*FieldError

func (es Errors) Error() string {
	all := make([]string, len(es))
	for i, e := range es {
		all[i] = e.Error()
	}
	return strings.Join(all, "; ")
}

// newEnv makes the environment of all expressions, once.
var newEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("body", cel.DynType),
		cel.Variable("status", cel.IntType),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserErrorRecoveryLimit(1),
	)
})

// Compile checks a Reading and prepares it. The error is an Errors.
func Compile(r *messages.Reading) (*Program, error) {
	env, err := newEnv()
	if err != nil {
		return nil, Errors{{"", err.Error()}}
	}
	p := &Program{}
	var all Errors
	for i, text := range [...]string{r.GetDoneWhen(), r.GetRejectedWhen(), r.GetPendingWhen(), r.GetRetryWhen()} {
		if text == "" {
			continue
		}
		e, err := compile(env, text, cel.BoolType)
		if err != nil {
			all = append(all, &FieldError{conditionFields[i], err.Error()})
			continue
		}
		p.conditions = append(p.conditions, condition{Outcome(i), e})
	}
	for _, f := range [...]struct {
		name, text string
		want       *cel.Type
		to         **expression
		// of is whether the Reading has a condition whose outcome uses the field; usedBy names it.
		of     bool
		usedBy string
	}{
		{"data", r.GetData(), cel.DynType, &p.data, r.GetDoneWhen() != "", "done_when"},
		{"code", r.GetCode(), cel.StringType, &p.code, r.GetRejectedWhen() != "", "rejected_when"},
		{"reason", r.GetReason(), cel.StringType, &p.reason, r.GetRejectedWhen() != "" || r.GetRetryWhen() != "", "rejected_when or retry_when"},
	} {
		if f.text == "" {
			continue
		}
		e, err := compile(env, f.text, f.want)
		if err == nil && !f.of {
			err = fmt.Errorf("it is never used without %s", f.usedBy)
		}
		if err != nil {
			all = append(all, &FieldError{f.name, err.Error()})
		}
		*f.to = e
	}
	if len(p.conditions) == 0 && len(all) == 0 {
		all = append(all, &FieldError{"", "it has no condition: want done_when, rejected_when, pending_when or retry_when"})
	}
	if len(all) > 0 {
		return nil, all
	}
	return p, nil
}

// compile returns the expression, whose result must be of the wanted type as far as that is known before its evaluation.
func compile(env *cel.Env, text string, want *cel.Type) (*expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("it has %d bytes: at most %d are allowed", len(text), maxExpression)
	}
	checked, issues := env.Compile(text)
	if found := issues.Errors(); len(found) > 0 {
		all := make([]string, len(found))
		for i, f := range found {
			all[i] = oneLine(f.Message) + position(text, f.Location.Line(), f.Location.Column())
		}
		return nil, errors.New(strings.Join(all, ", "))
	}
	if got := checked.OutputType(); want != cel.DynType && got.Kind() != cel.DynKind && !got.IsExactType(want) {
		return nil, fmt.Errorf("its result is of type %s: want %s", got, want)
	}
	tree := checked.NativeRep().Expr()
	for _, pattern := range patternsOf(tree) {
		if pattern.Kind() != ast.LiteralKind {
			return nil, errors.New("the pattern of matches must be a literal: a service must not choose it")
		}
	}
	program, err := env.Program(checked, bounds(tree)...)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	e := &expression{program: program}
	e.path, e.isPath = pathOf(tree)
	return e, nil
}

// explanations replace texts of CEL that do not help.
var explanations = strings.NewReplacer(
	"Syntax error: ", "",
	" (in container '')", "",
	"<EOF>", "the end",
	"no such overload", "the values do not fit the operation (no such overload)",
	"undeclared reference to", "there is no variable or function",
	"operation cancelled: actual cost limit exceeded", "it takes too long for this answer",
)

// oneLine makes an error of CEL fit for a line.
func oneLine(s string) string {
	// The parser lists everything that could follow.
	s, _, _ = strings.Cut(s, " expecting {")
	return strings.Join(strings.Fields(explanations.Replace(s)), " ")
}

// position names a place in an expression; lines count from 1, columns from 0.
func position(text string, line, column int) string {
	if line < 1 || column < 0 {
		return ""
	}
	if strings.Contains(text, "\n") {
		return fmt.Sprintf(" (line %d, column %d)", line, column+1)
	}
	return fmt.Sprintf(" (column %d)", column+1)
}
