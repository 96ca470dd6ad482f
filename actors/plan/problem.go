package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrInvalid is wrapped by every error about the content of a plan.
var ErrInvalid = errors.New("plan is invalid")

// maxProblems is how many problems an InvalidError lists.
const maxProblems = 100

// Problem is something wrong, or worth a warning, in a plan.
type Problem struct {
	// Line of the file, from 1; 0 if there is none.
	Line int `json:"line,omitempty"`
	// Step is the name of the step, or its number if it has no name of its own; empty: the plan itself.
	Step string `json:"step,omitempty"`
	// Field within the step or the plan, such as retry.max; empty: all of it.
	Field string `json:"field,omitempty"`
	// Text names the field and says what is wrong and what is allowed.
	Text string `json:"text"`
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	b.WriteString(p.Where())
	b.WriteString(p.Text)
	return b.String()
}

// Where is the step with a colon, or empty for the plan itself.
func (p Problem) Where() string {
	if p.Step == "" {
		return ""
	}
	return "step " + p.Step + ": "
}

// InvalidError is the error of an invalid plan. It wraps ErrInvalid. Its text has a line for each problem.
type InvalidError struct {
	// File is the path of the plan's file, or empty.
	File string
	// Problems are the first hundred, in the order of the file.
	Problems []Problem
	// More counts the problems that are not listed.
	More int
}

func (e *InvalidError) Error() string {
	prefix := ErrInvalid.Error() + ": "
	if e.File != "" {
		prefix = "plan file " + e.File + ": " + prefix
	}
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, prefix+p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%sand %d more", prefix, e.More))
	}
	return strings.Join(lines, "\n")
}

func (e *InvalidError) Unwrap() error { return ErrInvalid }

// wholePlan is the index of a problem that is not in a step.
const wholePlan = -1

// place is where a problem is.
type place struct {
	// step is its index, or wholePlan.
	step int
	// field is the path within the step or the plan, such as retry.max, or empty.
	field string
}

// in is the place of a field within p.
func (p place) in(field string) place {
	if p.field != "" {
		field = p.field + "." + field
	}
	return place{p.step, field}
}

// covers reports whether other is p or within it.
func (p place) covers(other place) bool {
	return p.step == other.step && (p.field == "" || p.field == other.field || strings.HasPrefix(other.field, p.field+"."))
}

// problems collects the problems of a plan.
type problems struct {
	places []place
	listed []Problem
	more   int
	// label names a step, from 0.
	label func(step int) string
	// line is the line of a place; 0: there is none.
	line func(place) int
}

// add adds a problem, unless there is one about the place or what contains it: that is the cause.
func (ps *problems) add(at place, format string, args ...any) { ps.addAt(0, at, format, args...) }

// addAt is add with a known line.
func (ps *problems) addAt(line int, at place, format string, args ...any) {
	for _, known := range ps.places {
		if known.covers(at) {
			return
		}
	}
	if len(ps.listed) == maxProblems {
		ps.more++
		return
	}
	p := Problem{Line: line, Field: at.field, Text: fmt.Sprintf(format, args...)}
	if line == 0 && ps.line != nil {
		p.Line = ps.line(at)
	}
	if at.step != wholePlan {
		p.Step = strconv.Itoa(at.step + 1)
		if ps.label != nil {
			p.Step = ps.label(at.step)
		}
	}
	ps.places = append(ps.places, at)
	ps.listed = append(ps.listed, p)
}

// about reports whether there is a problem in the place, or in what contains it.
func (ps *problems) about(at place) bool {
	for _, known := range ps.places {
		if known.covers(at) || at.covers(known) {
			return true
		}
	}
	return false
}

// err is an *InvalidError, or nil without problems.
func (ps *problems) err() error {
	if len(ps.listed) == 0 {
		return nil
	}
	ps.sort()
	return &InvalidError{Problems: ps.listed, More: ps.more}
}

// sort sorts the problems as the file has them.
func (ps *problems) sort() {
	slices.SortStableFunc(ps.listed, func(a, b Problem) int { return a.Line - b.Line })
}
