package cli

import (
	"fmt"
	"io"
	"time"
)

// summary is what publish prints at the end; its JSON form is stable.
type summary struct {
	// Stored counts the orders that JetStream stored, Duplicates those besides that it stored within two minutes of others
	// of the same id.
	Stored     int64 `json:"stored"`
	Duplicates int64 `json:"duplicates"`
	// Failed counts what was no order or could not be stored.
	Failed int64 `json:"failed"`
	// Ended counts the orders that came to an end, by status; null when they were not waited for.
	Ended map[string]int `json:"ended"`
	// Open counts the orders that were waited for and did not end in time.
	Open    int     `json:"open"`
	Seconds float64 `json:"seconds"`
}

// showProgress writes a line a second on standard error, when there is progress, until the returned function is called.
func (p *publishing) showProgress() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := ""
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				line := fmt.Sprintf("%d stored", p.stored.Load()+p.duplicates.Load())
				if p.watch != nil {
					ended, open := p.watch.Tally()
					line += fmt.Sprintf(", %d ended, %d open", total(ended), open)
				}
				if line != last {
					fmt.Fprintln(p.t.err, line)
				}
				last = line
			}
		}
	}()
	return func() { close(quit); <-done }
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// summary is how far it has come.
func (p *publishing) summary() summary {
	s := summary{
		Stored: p.stored.Load(), Duplicates: p.duplicates.Load(), Failed: p.unstored.Load() + int64(p.unreadable),
		Seconds: time.Since(p.began).Seconds(),
	}
	if p.watch != nil {
		s.Ended, s.Open = p.watch.Tally()
	}
	return s
}

// print writes the summary as the flag -o says.
func (p *publishing) print(s summary) error {
	if *p.output == formatJSON {
		return writeJSON(p.t.out, s)
	}
	s.write(p.t.out)
	return nil
}

// conclude prints the summary, and fails when not everything is as it was asked for.
func (p *publishing) conclude() error {
	s := p.summary()
	if err := p.print(s); err != nil {
		return err
	}
	if s.Open > 0 {
		ids := p.watch.Open(1)
		fmt.Fprintf(p.t.err, "orderly: not ended within %s: %s, for example %s; see \"orderly get %[3]s\", or wait longer with --timeout\n",
			p.timeout, count(int64(s.Open), "order"), ids[0])
	}
	if s.Failed > 0 || s.Open > 0 {
		return errSilent
	}
	return nil
}

func (s summary) write(w io.Writer) {
	fmt.Fprintf(w, "%s stored", count(s.Stored, "order"))
	if s.Duplicates > 0 {
		fmt.Fprintf(w, ", %d more under ids stored shortly before", s.Duplicates)
	}
	if s.Failed > 0 {
		fmt.Fprintf(w, ", %d not published", s.Failed)
	}
	n := int(s.Stored + s.Duplicates)
	if s.Ended != nil {
		n = total(s.Ended)
		fmt.Fprintf(w, ", %d ended", n)
	}
	fmt.Fprintf(w, " in %.1f s", s.Seconds)
	if n > 1 {
		fmt.Fprintf(w, " (%.0f orders/s)", float64(n)/s.Seconds)
	}
	fmt.Fprintln(w)
	for _, status := range []string{"completed", "rejected", "cancelled"} {
		if n := s.Ended[status]; n > 0 {
			fmt.Fprintf(w, "  %-10s %d\n", status, n)
		}
	}
	if s.Open > 0 {
		fmt.Fprintf(w, "  %-10s %d\n", "open", s.Open)
	}
}

// count is a number of things in words.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
