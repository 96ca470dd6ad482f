package servicecheck

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "ok"
	Fail Verdict = "fail"
	// Unknown: the check could not be made, or shows nothing.
	Unknown Verdict = "unknown"
)

// Check is one check of a service.
type Check struct {
	// Name is stable.
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Tried and Came are what was sent and what was answered.
	Tried string `json:"tried"`
	Came  string `json:"came"`
	// Why says why it matters, and Advice what to do unless the verdict is ok.
	Why    string `json:"why"`
	Advice string `json:"advice,omitempty"`
}

// Report is the result of all checks of a service.
type Report struct {
	Do   string `json:"do"`
	Undo string `json:"undo,omitempty"`
	// Orders is the common prefix of the ids of the test orders.
	Orders string  `json:"orders"`
	Checks []Check `json:"checks"`
	// Failed and Unknown count verdicts.
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// Remaining counts the test orders whose effect may remain.
	Remaining int `json:"remaining"`
}

// WriteText writes a check; why it matters and what to do only unless it is ok.
func (c *Check) WriteText(w io.Writer) error {
	text := fmt.Sprintf("%-7s  %s: %s\n", c.Verdict, c.Tried, printable(c.Came))
	if c.Verdict != OK {
		text += fmt.Sprintf("         why: %s\n         what to do: %s\n", c.Why, c.Advice)
	}
	_, err := io.WriteString(w, text)
	return err
}

// WriteSummary writes the counts.
func (r *Report) WriteSummary(w io.Writer) error {
	text := fmt.Sprintf("\n%d checks: %d ok, %d failed, %d unknown; the test orders are %s-…\n", len(r.Checks), len(r.Checks)-r.Failed-r.Unknown, r.Failed, r.Unknown, r.Orders)
	if r.Remaining > 0 {
		text += fmt.Sprintf("what the service did for %d of them may remain\n", r.Remaining)
	}
	_, err := io.WriteString(w, text)
	return err
}

// printable replaces the control characters of untrusted text: they could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
