package timeline

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

func amount(o *messages.OrderCreated) string {
	return messages.FormatAmount(o.GetTotalAmount(), o.GetCurrency())
}

// WriteText writes the order and its story for people.
func (v *View) WriteText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "order\t%s\n", v.OrderID)
	fmt.Fprintf(out, "status\t%s\n", v.statusLine())
	fmt.Fprintf(out, "customer\t%s\n", v.CustomerID)
	fmt.Fprintf(out, "total\t%s %s\n", v.Total, v.Currency)
	fmt.Fprintf(out, "plan\t%s, %d of %d steps done\n", v.Plan, v.StepsDone, v.Steps)
	if v.WaitsUntil != nil {
		fmt.Fprintf(out, "waits\t%s, until %s\n", v.WaitsFor, clock(*v.WaitsUntil))
	}
	if v.LastError != "" && !v.Ended() {
		fmt.Fprintf(out, "last error\t%s\n", v.LastError)
	}
	fmt.Fprintf(out, "accepted\t%s\n\n", clock(v.CreatedAt))
	for _, e := range v.Events {
		fmt.Fprintf(out, "  +%s\t%s\t%s\n", since(e.Time.Sub(v.CreatedAt)), e.Node, e.Summary)
	}
	return out.Flush()
}

func (v *View) statusLine() string {
	line := v.Status
	if v.Reason != "" {
		line += ": " + v.Reason
	}
	if v.Ended() {
		line += fmt.Sprintf(" (after %s)", since(v.UpdatedAt.Sub(v.CreatedAt)))
	}
	return line
}

func since(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Second).String()
}
