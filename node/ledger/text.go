package ledger

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	o, in := r.Orders, r.Inbox
	rows := [][]row{
		{
			{"orders accepted", o.Accepted, ""},
			{"  completed", o.Completed, ""},
			{"  rejected", o.Rejected, ""},
			{"  cancelled", o.Cancelled, ""},
			{"  in flight", o.InFlight, ""},
			{"  parked", o.Parked, ""},
			{"  attention", o.Attention, "a person must decide"},
		},
		{
			{"inbox messages ever stored", in.EverStored, ""},
			{"  waiting", in.Waiting, "not yet in the journal"},
			{"  held", in.Held, "in the journal, not yet acknowledged"},
			{"  accepted", in.Accepted, ""},
			{"  recorded", in.Recorded, ""},
			{"  dead-lettered", in.DeadLettered, ""},
			{"  without effect", in.WithoutEffect, r.noTrace()},
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
	r.verdict(&b)
	_, err := w.Write(b.Bytes())
	return err
}

type row struct {
	name  string
	count uint64
	note  string
}

func (r *Report) noTrace() string {
	note := "duplicates, or about orders that had ended"
	if r.Journal.Removed > 0 || r.Dead.Removed > 0 {
		note += ", or their trace was removed"
	}
	return note
}

func removed(s Stored) string {
	if s.Removed == 0 {
		return ""
	}
	return fmt.Sprintf("%d more were removed", s.Removed)
}

func (r *Report) verdict(b *bytes.Buffer) {
	if r.Balanced() {
		b.WriteString("balanced\n")
		return
	}
	fmt.Fprintf(b, "NOT balanced: %d offenses\n", r.Offending)
	for _, each := range r.Offenses {
		if each.OrderID != "" {
			fmt.Fprintf(b, "  order %s: ", each.OrderID)
		} else {
			b.WriteString("  ")
		}
		fmt.Fprintln(b, each.Reason)
	}
	if more := r.Offending - len(r.Offenses); more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}
