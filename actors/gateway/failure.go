package gateway

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// ErrClosed is wrapped by the failure of calls that Close interrupted or that were made after it.
var ErrClosed = errors.New("gateway is closed")

const (
	// maxReasonBytes bounds a service's error text in the journal.
	maxReasonBytes = 1024
	// maxErrorBytes bounds the text of a failure: the target, and what went wrong.
	maxErrorBytes = 3 * maxReasonBytes
)

// fail returns a failure. Its text is one line of valid UTF-8 with at most maxErrorBytes. inDoubt: the step may have been
// performed.
func fail(kind messages.FailureKind, inDoubt bool, format string, args ...any) *delivery.Failure {
	err := fmt.Errorf(format, args...)
	return &delivery.Failure{Kind: kind, InDoubt: inDoubt, Err: &failureText{sanitize(err.Error(), maxErrorBytes), err}}
}

// fail returns a failure whose text begins with the target.
func (p *pendingCall) fail(kind messages.FailureKind, inDoubt bool, format string, args ...any) *delivery.Failure {
	return fail(kind, inDoubt, "%s: "+format, append([]any{p.target.name}, args...)...)
}

type failureText struct {
	text  string
	cause error
}

func (f *failureText) Error() string { return f.text }
func (f *failureText) Unwrap() error { return f.cause }

// sanitize makes untrusted text safe for the journal and a log line: valid UTF-8, one line, no control characters, at most
// limit bytes.
func sanitize(s string, limit int) string {
	if len(s) > limit+utf8.UTFMax {
		s = s[:limit+utf8.UTFMax]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
