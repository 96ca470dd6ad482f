package reading

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Outcome is what an answer means.
type Outcome int

// The outcomes, in the order in which their conditions are asked.
const (
	Done Outcome = iota
	Rejected
	Pending
	Retry
)

// conditionFields are the fields of the conditions, by outcome.
var conditionFields = [...]string{"done_when", "rejected_when", "pending_when", "retry_when"}

// Answer is what a Reading says of one answer.
type Answer struct {
	Outcome Outcome
	// Data is JSON text, of Done only; empty: there are none.
	Data string
	// Code is of Rejected, Reason of Rejected and Retry; empty: there is none. They are the service's text, unbounded.
	Code, Reason string
}

// Program is a compiled Reading. It is safe for concurrent use.
type Program struct {
	conditions         []condition
	data, code, reason *expression // nil: absent
}

type condition struct {
	outcome Outcome
	*expression
}

// expression is a compiled expression.
type expression struct {
	program cel.Program
	// path is the place in the body that the expression names, if isPath.
	path   []step
	isPath bool
}

// Read says what an answer means. It returns nil if the body is not JSON or no condition is true. An error names the field
// whose expression cannot be evaluated for this answer; its text is a line, and may quote the answer.
func (p *Program) Read(status int, body []byte) (*Answer, error) {
	value, ok := decode(body)
	if !ok {
		return nil, nil
	}
	vars := &variables{status: int64(status), body: value}
	for _, c := range p.conditions {
		met, err := c.met(vars)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", conditionFields[c.outcome], err)
		}
		if met {
			return p.answer(c.outcome, vars, body)
		}
	}
	return nil, nil
}

func (p *Program) answer(outcome Outcome, vars *variables, body []byte) (*Answer, error) {
	a := &Answer{Outcome: outcome}
	var err error
	switch outcome {
	case Done:
		if a.Data, err = p.data.data(vars, body); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	case Rejected:
		if a.Code, err = p.code.text(vars); err != nil {
			return nil, fmt.Errorf("code: %w", err)
		}
		fallthrough
	case Retry:
		if a.Reason, err = p.reason.text(vars); err != nil {
			return nil, fmt.Errorf("reason: %w", err)
		}
	}
	return a, nil
}

// met reports whether a condition is true. It is false if the body lacks a place it asks for, and if its result is null.
func (e *expression) met(vars *variables) (bool, error) {
	v, err := e.eval(vars)
	switch v := v.(type) {
	case nil, types.Null:
		return false, err
	case types.Bool:
		return bool(v), nil
	}
	return false, fmt.Errorf("its result is of type %s: want true or false", v.Type().TypeName())
}

// data returns the data of an answer as JSON text. A nil expression means the whole body.
func (e *expression) data(vars *variables, body []byte) (string, error) {
	if e == nil {
		return string(body), nil
	}
	if e.isPath {
		return textAt(body, e.path), nil
	}
	v, err := e.eval(vars)
	if v == nil {
		return "", err
	}
	b, err := appendJSON(nil, v, maxDepth)
	return string(b), err
}

// text returns the result as text; empty if the expression is nil, its result is null, or the body lacks a place it asks for.
func (e *expression) text(vars *variables) (string, error) {
	if e == nil {
		return "", nil
	}
	v, err := e.eval(vars)
	switch v := v.(type) {
	case nil, types.Null:
		return "", err
	case types.String:
		return string(v), nil
	}
	b, err := appendJSON(nil, v, maxDepth)
	return string(b), err
}

// eval returns the result of the expression, or nil without an error if the body lacks a place that it asks for.
func (e *expression) eval(vars *variables) (ref.Val, error) {
	v, _, err := e.program.Eval(vars)
	if err == nil {
		return v, nil
	}
	text := err.Error()
	for _, lacks := range missing {
		if strings.HasPrefix(text, lacks) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("%.200s", oneLine(text))
}

// missing are the errors of a path to a place that a value lacks. CEL has no type for them.
var missing = [...]string{"no such key", "index out of bounds", "unsupported index type"}

// variables are the values of the variables of an expression.
type variables struct {
	status int64
	body   any
}

// ResolveName implements interpreter.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "body":
		return v.body, true
	case "status":
		return v.status, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (v *variables) Parent() interpreter.Activation { return nil }
