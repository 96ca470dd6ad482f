package plan

import (
	"errors"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

// Bounds of nothing_to_undo. A code of a service has at most maxCode bytes, so that a longer one would never match.
const (
	maxCodes = 32
	maxCode  = 128
)

// validateReading checks how the answers of a call to target are read; a nil Reading is valid.
func validateReading(ps *problems, at place, r *messages.Reading, call, target string) {
	if r == nil {
		return
	}
	if target == "" && !ps.about(place{at.step, call}) {
		ps.add(at, "%s: the step has no %s", at.field, call)
		return
	}
	_, err := reading.Compile(r)
	var all reading.Errors
	if !errors.As(err, &all) {
		return
	}
	for _, e := range all {
		in := at
		if e.Field != "" {
			in = at.in(e.Field)
		}
		ps.add(in, "%s: %s", in.field, e.Problem)
	}
}

func validateNothingToUndo(ps *problems, at place, s *messages.Step) {
	codes := s.GetNothingToUndo()
	switch {
	case len(codes) == 0:
		return
	case s.GetUndo() == "" && !ps.about(place{at.step, "undo"}):
		ps.add(at, "%s: the step has no undo", at.field)
	case len(codes) > maxCodes:
		ps.add(at, "%s: there are %d codes: at most %d are allowed", at.field, len(codes), maxCodes)
	}
	for i, code := range codes {
		if !validCode(code) {
			ps.add(at, "%s: %.80q: want codes of 1–%d bytes in one line", at.field, code, maxCode)
		} else if slices.Contains(codes[:i], code) {
			ps.add(at, "%s: %q is given twice", at.field, code)
		}
	}
}

// validCode reports whether a service's code can be this one: it has one line without space around it.
func validCode(code string) bool {
	if code == "" || len(code) > maxCode || code[0] == ' ' || code[len(code)-1] == ' ' || !utf8.ValidString(code) {
		return false
	}
	for _, c := range code {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
