package timeline

import (
	"bytes"
	"fmt"
	"io"

	"github.com/orderly-engine/orderly/actors/order"
)

// WriteText writes the foretelling for people.
func (c *Cancellation) WriteText(w io.Writer) error {
	var b bytes.Buffer
	say := func(format string, args ...any) { b.WriteString(Printable(fmt.Sprintf(format, args...)) + "\n") }
	switch c.Effect {
	case EffectEnded:
		say("order %s is %s: it has ended, and a cancel would change nothing", c.OrderID, standing(c.Status))
	case EffectReceived:
		say("order %s is received: no node has accepted it yet. Once one has, a cancel settles its first step, undoes it, and the order ends as cancelled", c.OrderID)
	case EffectRequested:
		say("order %s is %s: a cancel was requested before, and another one changes nothing. What is left to do:", c.OrderID, standing(c.Status))
	case EffectTooLate:
		c.sayTooLate(say)
	case EffectStuck:
		say("order %s is %s: a cancel would not get through; the order would come to rest in attention, where a person decides", c.OrderID, standing(c.Status))
	default:
		say("order %s is %s: a cancel now would end it as %s:", c.OrderID, standing(c.Status), c.Outcome)
	}
	c.writeCalls(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Cancellation) sayTooLate(say func(string, ...any)) {
	if c.Settles == nil {
		say("order %s is %s: a cancel would come too late; its last step is performed and has no undo, and the order completes", c.OrderID, standing(c.Status))
		return
	}
	say("order %s is %s: its last step, %s, may have been performed and has no undo. If it was, or is now, the cancel comes too late and the order completes:",
		c.OrderID, standing(c.Status), c.Settles.Step)
}

// writeCalls lists what is called, numbered, and what is not.
func (c *Cancellation) writeCalls(b *bytes.Buffer) {
	width := 0
	note := func(name string) { width = max(width, len([]rune(name))) }
	if c.Settles != nil {
		note(c.Settles.Step)
	}
	for _, u := range c.Undoes {
		note(u.Step)
	}
	for _, k := range c.Keeps {
		note(k.Step)
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
		remark := "nobody knows if it was performed: it is called again, under its key"
		if c.pending {
			remark = "it is pending: it is called again, under its key"
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
		if c.Effect != EffectTooLate { // then everything stays
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
