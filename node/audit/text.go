package audit

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/orderly-engine/orderly/messages"
)

// WriteText writes the report as text.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	o, in, t := r.Orders, r.Inbox, r.Timers
	rows := [][]row{
		{
			{"orders accepted", o.Accepted, ""},
			{"  completed", o.Completed, ""},
			{"  rejected", o.Rejected, ""},
			{"  cancelled", o.Cancelled, ""},
			{"  in flight", o.InFlight, ""},
			{"  parked", o.Parked, ""},
			{"    pending", o.ParkedFor.Pending, "for a signal"},
			{"    retry", o.ParkedFor.Retry, "for another attempt"},
			{"    outage", o.ParkedFor.Outage, "for a downstream service"},
			{"  attention", o.Attention, "a person must decide"},
		},
		append([]row{
			{"inbox messages ever stored", in.EverStored, ""},
			{"  waiting", in.Waiting, "not yet in the journal"},
			{"  held", in.Held, "in the journal, not yet acknowledged"},
			{"  accepted", in.Accepted, ""},
			{"  recorded", in.Recorded, ""},
			{"  dead-lettered", in.DeadLettered, ""},
			{"  without effect", in.WithoutEffect, "duplicates, or about orders that had ended"},
			{"  history deleted", in.HistoryDeleted, "of orders that ended long ago"},
		}, r.rare()...),
		{
			{"orders with timers", t.Stored, ""},
			{"  scheduled", t.Scheduled, ""},
			{"  waking", t.Waking, "fired, not yet settled"},
			{"  stale", t.Stale, "no longer parked, they fire without effect"},
			{"  orphaned", t.Orphaned, "their history was removed, they fire without effect"},
			{"parked without a timer yet", t.Unscheduled, "the message that parked them is stored and sets it"},
		},
		{
			{"journal entries", r.Journal.Messages, removed(r.Journal)},
			{"dead letters", r.Dead.Messages, removed(r.Dead)},
		},
	}
	digits := 0
	for _, section := range rows {
		for _, each := range section {
			digits = max(digits, len(strconv.FormatUint(each.count, 10)))
		}
	}
	for _, section := range rows {
		for _, each := range section {
			fmt.Fprintf(&b, "%-28s%*d", each.name, digits, each.count)
			if each.note != "" {
				fmt.Fprintf(&b, "  %s", each.note)
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	r.causes(&b)
	r.warnings(&b)
	r.conclusion(&b)
	_, err := w.Write(b.Bytes())
	return err
}

type row struct {
	name  string
	count uint64
	note  string
}

// rare lists the counts of the inbox that most systems do not have.
func (r *Report) rare() (rows []row) {
	in := r.Inbox
	for _, each := range []row{
		{"  written off", in.WrittenOff, "lost, and accepted as lost by an operator"},
		{"  before the ledger", in.BeforeLedger, fmt.Sprintf("not proven: up to message %d there was no ledger", in.LedgerFloor)},
		{"  lost", in.Lost, "named below"},
	} {
		if each.count > 0 {
			rows = append(rows, each)
		}
	}
	return rows
}

func removed(s StreamCount) string {
	if s.Removed == 0 {
		return ""
	}
	return fmt.Sprintf("%d more were removed", s.Removed)
}

func (r *Report) causes(b *bytes.Buffer) {
	if len(r.AttentionCauses) == 0 {
		return
	}
	b.WriteString("attention by cause\n")
	listed := uint64(0)
	for _, c := range r.AttentionCauses {
		listed += c.Orders
		about := c.Step
		switch {
		case about == "":
			about = c.Kind
		case c.Direction == messages.Undo.Label():
			about = "undo of " + about
		}
		fmt.Fprintf(b, "  %d  %s: %s\n", c.Orders, printable(about), printable(c.Cause))
	}
	if more := r.Orders.Attention - listed; more > 0 {
		fmt.Fprintf(b, "  %d  for other causes\n", more)
	}
	b.WriteByte('\n')
}

func (r *Report) warnings(b *bytes.Buffer) {
	if r.WarningCount == 0 {
		return
	}
	b.WriteString("warnings\n")
	for _, each := range r.Warnings {
		fmt.Fprintf(b, "  %s\n", printable(each))
	}
	if more := r.WarningCount - len(r.Warnings); more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
	b.WriteByte('\n')
}

// printable replaces control characters in untrusted text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func (r *Report) conclusion(b *bytes.Buffer) {
	o := r.Orders
	fmt.Fprintf(b, "%d accepted = %d completed + %d rejected + %d cancelled + %d in flight + %d parked + %d attention\n",
		o.Accepted, o.Completed, o.Rejected, o.Cancelled, o.InFlight, o.Parked, o.Attention)
	if r.Balanced() {
		b.WriteString("balanced\n")
		return
	}
	fmt.Fprintf(b, "NOT balanced: %d violations\n", r.ViolationCount)
	for _, each := range r.Violations {
		if each.OrderID != "" {
			fmt.Fprintf(b, "  order %s: ", each.OrderID)
		} else {
			b.WriteString("  ")
		}
		fmt.Fprintln(b, printable(each.Reason))
	}
	if more := r.ViolationCount - len(r.Violations); more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}
