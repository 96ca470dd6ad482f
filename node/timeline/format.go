package timeline

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/orderly-engine/orderly/messages"
)

func amount(o *messages.OrderCreated) string {
	return messages.FormatAmount(o.GetTotalAmount(), o.GetCurrency())
}

// formatTime formats a time in UTC.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

// relativeTime is the distance of t from now in words.
func relativeTime(t, now time.Time) string {
	switch d := t.Sub(now).Round(100 * time.Millisecond); {
	case d == 0:
		return "just now"
	case d > 0:
		return "in " + roughDuration(d)
	default:
		return roughDuration(-d) + " ago"
	}
}

// timeAndDistance formats t and its distance from now.
func timeAndDistance(t, now time.Time) string {
	return formatTime(t) + " (" + relativeTime(t, now) + ")"
}

// roughDuration rounds a duration to what a reader needs: seconds below an hour, minutes below two days.
func roughDuration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return trimZeroUnits(d.Round(time.Second))
	case d < 48*time.Hour:
		return trimZeroUnits(d.Round(time.Minute))
	}
	hours := int(d.Round(time.Hour) / time.Hour)
	return fmt.Sprintf("%dd%dh", hours/24, hours%24)
}

// trimZeroUnits omits trailing units that are zero.
func trimZeroUnits(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// preciseDuration rounds a duration to about four digits.
func preciseDuration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return trimZeroUnits(d.Round(10 * time.Millisecond))
	}
	return trimZeroUnits(d.Round(time.Second))
}

// Printable replaces the control and invisible characters of untrusted text by spaces: they could control a terminal, or
// change how the text reads, such as its direction.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
