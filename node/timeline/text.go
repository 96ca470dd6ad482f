package timeline

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

func amount(o *messages.OrderCreated) string {
	return messages.FormatAmount(o.GetTotalAmount(), o.GetCurrency())
}

// WriteText writes the order and its story for people.
func (v *View) WriteText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	field := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%s\t%s\n", name, Printable(fmt.Sprintf(format, args...)))
	}
	field("order", "%s", v.OrderID)
	field("status", "%s", v.statusLine())
	if len(v.Events) == 0 {
		return out.Flush()
	}
	field("customer", "%s", v.CustomerID)
	field("total", "%s %s", v.Total, v.Currency)
	field("plan", "%s", v.planLine())
	if v.WaitsUntil != nil {
		field("waits", "%s, until %s", v.WaitsFor, clock(*v.WaitsUntil))
	}
	if v.LastError != "" && v.LastError != v.Reason && !v.Ended() {
		field("last error", "%s", v.LastError)
	}
	if v.Status == order.Attention.String() {
		field("decide", "orderly retry %s, orderly skip %[1]s, or orderly cancel %[1]s", v.OrderID)
	}
	field("accepted", "%s", clock(v.CreatedAt))
	fmt.Fprintln(out)
	for _, e := range v.Events {
		fmt.Fprintf(out, "  +%s\t%s\t%s\n", since(e.Time.Sub(v.CreatedAt)), Printable(e.Node), Printable(e.Summary))
	}
	return out.Flush()
}

func (v *View) statusLine() string {
	line := v.Status
	switch {
	case v.Reason != "":
		line += ": " + v.Reason
	case len(v.Events) == 0:
		line += ": stored in the inbox, no node has taken it up yet"
	}
	if v.Ended() {
		line += fmt.Sprintf(" (after %s)", since(v.UpdatedAt.Sub(v.CreatedAt)))
	}
	return line
}

func (v *View) planLine() string {
	line := fmt.Sprintf("%s, %d of %d steps done", v.Plan, v.StepsDone, v.Steps)
	if v.StepsUndone > 0 {
		line += fmt.Sprintf(", %d undone", v.StepsUndone)
	}
	return line
}

func since(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Second).String()
}

// Printable makes one line of a stranger's text: what would steer a terminal becomes a space.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
