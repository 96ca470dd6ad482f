package gateway

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// ErrClosed is wrapped by the failure of calls that Close interrupted or that were made after it.
var ErrClosed = errors.New("gateway is closed")

// maxReasonBytes bounds a service's error text in the journal.
const maxReasonBytes = 1024

func transient(format string, args ...any) error {
	return &delivery.Failure{Kind: messages.Transient, Err: fmt.Errorf(format, args...)}
}

func transientAfter(after time.Duration, format string, args ...any) error {
	return &delivery.Failure{Kind: messages.Transient, RetryAfter: after, Err: fmt.Errorf(format, args...)}
}

func poison(format string, args ...any) error {
	return &delivery.Failure{Kind: messages.Poison, Err: fmt.Errorf(format, args...)}
}

// withTarget adds the target to a failure.
func withTarget(t *target, err error) error {
	if err == nil {
		return nil
	}
	f := delivery.AsFailure(err)
	return &delivery.Failure{Kind: f.Kind, RetryAfter: f.RetryAfter, Err: fmt.Errorf("%s: %w", t.name, f.Err)}
}

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
