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

// clock writes a moment, the same for readers everywhere.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

// distance says how far t is from now, in the past or to come.
func distance(t, now time.Time) string {
	switch d := t.Sub(now).Round(100 * time.Millisecond); {
	case d == 0:
		return "just now"
	case d > 0:
		return "in " + coarse(d)
	default:
		return coarse(-d) + " ago"
	}
}

// when writes t and how far away it is.
func when(t, now time.Time) string { return clock(t) + " (" + distance(t, now) + ")" }

// coarse is a duration as people say it.
func coarse(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return short(d.Round(time.Second))
	case d < 48*time.Hour:
		return short(d.Round(time.Minute))
	}
	hours := int(d.Round(time.Hour) / time.Hour)
	return fmt.Sprintf("%dd%dh", hours/24, hours%24)
}

// short leaves out the units that are zero at the end.
func short(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// since is a duration with the digits that matter.
func since(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return short(d.Round(10 * time.Millisecond))
	}
	return short(d.Round(time.Second))
}

// Printable makes one line of a stranger's text: what would steer a terminal, or is not seen and changes how the rest
// reads (the direction of writing, above all), becomes a space.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
