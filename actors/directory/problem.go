package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is wrapped by every error about the content of a file of downstreams.
var ErrInvalid = errors.New("file of downstreams is invalid")

// maxProblems is how many problems an InvalidError lists.
const maxProblems = 100

// Problem is something wrong in a file of downstreams. It repeats no value that may be a secret.
type Problem struct {
	// Line of the file, from 1; 0: the whole file.
	Line int
	// Entry is the name of the downstream, or empty.
	Entry string
	// Field within the entry, such as tls.ca, or empty.
	Field string
	// Text says what is wrong and what is allowed.
	Text string
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	for _, part := range []string{p.Entry, p.Field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + p.Text
}

// InvalidError is the error of an invalid file of downstreams. It wraps ErrInvalid. Its text has a line for each problem.
type InvalidError struct {
	// File is the path of the file, or empty.
	File string
	// Problems are the first hundred, in the order of the file.
	Problems []Problem
	// More counts the problems that are not listed.
	More int
}

func (e *InvalidError) Error() string {
	prefix := ErrInvalid.Error() + ": "
	if e.File != "" {
		prefix = e.File + ": " + prefix
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

// problems collects the problems of a file.
type problems struct {
	listed []Problem
	more   int
}

func (ps *problems) add(p Problem) {
	if len(ps.listed) == maxProblems {
		ps.more++
		return
	}
	ps.listed = append(ps.listed, p)
}

// err is an *InvalidError, or nil without problems.
func (ps *problems) err(file string) error {
	if len(ps.listed) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.listed, func(a, b Problem) int { return a.Line - b.Line })
	return &InvalidError{File: file, Problems: ps.listed, More: ps.more}
}
