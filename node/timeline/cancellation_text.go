package timeline

import (
	"bytes"
	"fmt"
	"io"

	"github.com/orderly-engine/orderly/actors/order"
)

// WriteText writes the preview for humans.
func (c *Cancellation) WriteText(w io.Writer) error {
	var b bytes.Buffer
	writeLine := func(format string, args ...any) { b.WriteString(Printable(fmt.Sprintf(format, args...)) + "\n") }
	switch c.Effect {
	case EffectEnded:
		writeLine("order %s is %s: it has ended, and a cancel would change nothing", c.OrderID, statusPhrase(c.Status))
	case EffectReceived:
		writeLine("order %s is received: no node has accepted it yet. Once one has, a cancel settles its first step, undoes it, and the order ends as cancelled", c.OrderID)
	case EffectRequested:
		writeLine("order %s is %s: a cancel was requested before, and another one changes nothing. What is left to do:", c.OrderID, statusPhrase(c.Status))
	case EffectTooLate:
		c.writeTooLate(writeLine)
	case EffectStuck:
		writeLine("order %s is %s: a cancel cannot be completed; the order would need attention, where a person decides", c.OrderID, statusPhrase(c.Status))
	default:
		writeLine("order %s is %s: a cancel now would end it as %s:", c.OrderID, statusPhrase(c.Status), c.Outcome)
	}
	c.writeCalls(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Cancellation) writeTooLate(writeLine func(string, ...any)) {
	if c.Settles == nil {
		writeLine("order %s is %s: a cancel would come too late; its last step is performed and has no undo, and the order completes", c.OrderID, statusPhrase(c.Status))
		return
	}
	writeLine("order %s is %s: its last step, %s, may have been performed and has no undo. If it was, or is now, the cancel comes too late and the order completes:",
		c.OrderID, statusPhrase(c.Status), c.Settles.Step)
}

// writeCalls lists the calls, numbered, and the steps that are kept.
func (c *Cancellation) writeCalls(b *bytes.Buffer) {
	width := 0
	widen := func(name string) { width = max(width, len([]rune(name))) }
	if c.Settles != nil {
		widen(c.Settles.Step)
	}
	for _, u := range c.Undoes {
		widen(u.Step)
	}
	for _, k := range c.Keeps {
		widen(k.Step)
	}
	n := 0
	line := func(verb string, call Call, remark string) {
		n++
		text := fmt.Sprintf("  %d. %-6s  %-*s  %s", n, verb, width, call.Step, call.Target)
		if remark != "" {
			text += "  (" + remark + ")"
		}
		b.WriteString(Printable(text) + "\n")
	}
	if c.Settles != nil {
		remark := "in doubt: it is called again, with the same idempotency key"
		if c.pending {
			remark = "pending: it is called again, with the same idempotency key"
		}
		line("settle", *c.Settles, remark)
	}
	for _, u := range c.Undoes {
		remark := ""
		if c.Settles != nil && u.Step == c.Settles.Step {
			remark = "unless it turns out to be refused"
		}
		line("undo", u, remark)
	}
	for _, k := range c.Keeps {
		if c.Effect != EffectTooLate { // too late: every step is kept
			fmt.Fprintf(b, "     %-6s  %-*s  %s\n", "keep", width, Printable(k.Step), k.Why)
		}
	}
	if o := c.IfRefused; o != nil {
		fmt.Fprintf(b, "If it turns out to be refused, the order ends as %s:\n", o.Outcome)
		n = 1
		for _, u := range o.Undoes {
			line("undo", u, "")
		}
	}
	if c.Effect == EffectUndo && n == 0 && c.Outcome == order.Cancelled.String() {
		b.WriteString("  nothing is to be undone\n")
	}
}
