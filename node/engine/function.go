package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// ErrNoResult is wrapped by the error about the result of a step that left none.
var ErrNoResult = errors.New("no result")

// Function performs a step in this process, or undoes it. It may be called more than once under the same Call.Key, by
// this program or another, and must then not act again but return the same. Its context ends with the step's time-out.
//
// The result is any value that encoding/json can write, or nil; later steps read it. An error is one of Reject, Permanent,
// Pending and RetryAfter, wrapped or not, or any other: then the step is attempted again, with back-off, until its
// attempts are spent and the order needs attention. A panic counts as such an error and does not end the program.
type Function func(context.Context, *Call) (result any, err error)

// Functions are step functions by the name in targets func:<name>.
type Functions map[string]Function

// Call is one attempt to perform a step, or to undo it.
type Call struct {
	Order Order
	// Step is the step's name, and Undo whether it is to be undone.
	Step string
	Undo bool
	// Attempt is 1 for the first call.
	Attempt int
	// Key is the idempotency key <order>/<step>/<do|undo>: the same for every attempt, whichever program makes it.
	Key string
	// Fence grows with the order's journal: a store may refuse a call whose fence is smaller than one it has seen.
	Fence uint64

	results map[string]string
}

// Result decodes the result of a step that is done into a value, as encoding/json does; an undo has only the result of its
// own step. The error wraps ErrNoResult when there is none: the step returned nil, or a person skipped it.
func (c *Call) Result(step string, into any) error {
	data, ok := c.results[step]
	if !ok {
		return fmt.Errorf("step %s: %w of step %s", c.Step, ErrNoResult, step)
	}
	if err := json.Unmarshal([]byte(data), into); err != nil {
		return fmt.Errorf("step %s: result of step %s: %w", c.Step, step, err)
	}
	return nil
}

// handler is f as the gateway calls it.
func (f Function) handler() gateway.Function {
	return func(ctx context.Context, c *gateway.Call) (*messages.StepReply, error) {
		r := c.Request
		return replyOf(f(ctx, &Call{
			Order: orderOf(r.GetOrder()), Step: r.GetStep(), Undo: c.Direction == messages.Undo,
			Attempt: int(c.Attempt), Key: r.GetIdempotencyKey(), Fence: c.FencingToken, results: r.GetResults(),
		}))
	}
}

// Typed makes a target of a function whose input and result are Go types.
//
// Each exported field of the struct In takes the result of an earlier step, decoded as encoding/json does: of the one that
// its tag names, as in `step:"reserve_stock"`, else of the one called as the field in lower case. A field of type Order
// takes the order. An undo can take the result of its own step only. A step that left no result leaves its field zero. New
// refuses a field that no step can fill.
// Out becomes the result of the step, unless it is struct{}.
func Typed[In, Out any](f func(context.Context, *Call, In) (Out, error)) Target {
	fields, err := fieldsOf(reflect.TypeFor[In]())
	_, void := any(*new(Out)).(struct{})
	return &typed{fields: fields, err: err, call: func(ctx context.Context, c *Call) (any, error) {
		var in In
		for _, field := range fields {
			if err := field.fill(c, reflect.ValueOf(&in).Elem()); err != nil {
				return nil, err
			}
		}
		out, err := f(ctx, c, in)
		if err != nil || void {
			return nil, err
		}
		return out, nil
	}}
}

// typed is the target that Typed returns.
type typed struct {
	call   Function
	fields []field
	// err says why In cannot be an input.
	err error
}

// field is one field of an input; step is empty for the order.
type field struct {
	name  string
	index int
	step  string
}

func fieldsOf(in reflect.Type) ([]field, error) {
	if in.Kind() != reflect.Struct {
		return nil, fmt.Errorf("input %s is not a struct", in)
	}
	var all []field
	for i := range in.NumField() {
		f := in.Field(i)
		switch {
		case !f.IsExported():
		case f.Type == reflect.TypeFor[Order]():
			all = append(all, field{name: f.Name, index: i})
		default:
			step := f.Tag.Get("step")
			if step == "" {
				step = strings.ToLower(f.Name)
			}
			all = append(all, field{f.Name, i, step})
		}
	}
	return all, nil
}

func (f field) fill(c *Call, in reflect.Value) error {
	into := in.Field(f.index)
	if f.step == "" {
		into.Set(reflect.ValueOf(c.Order))
		return nil
	}
	if err := c.Result(f.step, into.Addr().Interface()); err != nil && !errors.Is(err, ErrNoResult) {
		return Permanent(err)
	}
	return nil
}

// check says which field cannot be filled by the results that the call gets.
func (t *typed) check(given []string) error {
	if t.err != nil {
		return t.err
	}
	for _, f := range t.fields {
		if f.step != "" && !slices.Contains(given, f.step) {
			return fmt.Errorf("input field %s wants the result of step %s: the call gets those of %s", f.name, f.step, cmp.Or(strings.Join(given, ", "), "no step"))
		}
	}
	return nil
}

// handlers are the functions as the gateway calls them.
func (fs Functions) handlers() gateway.Functions {
	all := make(gateway.Functions, len(fs))
	for name, f := range maps.All(fs) {
		all[name] = f.handler()
	}
	return all
}
