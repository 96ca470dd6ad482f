package cli

import (
	"fmt"
	"io"
	"time"
)

// summary is what publish prints at the end; its JSON form is stable.
type summary struct {
	// Stored counts the orders that JetStream stored; Duplicates counts the orders whose id it had stored within the last two
	// minutes.
	Stored     int64 `json:"stored"`
	Duplicates int64 `json:"duplicates"`
	// Failed counts invalid inputs and orders that could not be stored.
	Failed int64 `json:"failed"`
	// Ended counts the orders that ended, by status; null without --wait.
	Ended map[string]int `json:"ended"`
	// Open counts the orders that did not end within the timeout.
	Open    int     `json:"open"`
	Seconds float64 `json:"seconds"`
}

// showProgress prints the progress on standard error once a second, if it changed, until stop is called.
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

// summary returns the results so far.
func (p *publishing) summary() summary {
	s := summary{
		Stored: p.stored.Load(), Duplicates: p.duplicates.Load(), Failed: p.unstored.Load() + int64(p.invalid),
		Seconds: time.Since(p.began).Seconds(),
	}
	if p.watch != nil {
		s.Ended, s.Open = p.watch.Tally()
	}
	return s
}

// conclude prints the summary, and fails unless everything was published and, with --wait, has ended.
func (p *publishing) conclude() error {
	s := p.summary()
	if err := writeResult(p.t.out, *p.output, s); err != nil {
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

// WriteText writes the summary for humans.
func (s summary) WriteText(w io.Writer) error {
	line := count(s.Stored, "order") + " stored"
	if s.Duplicates > 0 {
		line += ", " + count(s.Duplicates, "duplicate")
	}
	if s.Failed > 0 {
		line += fmt.Sprintf(", %d not published", s.Failed)
	}
	n := int(s.Stored + s.Duplicates)
	if s.Ended != nil {
		n = total(s.Ended)
		line += fmt.Sprintf(", %d ended", n)
	}
	line += fmt.Sprintf(" in %.1f s", s.Seconds)
	if n > 1 {
		line += fmt.Sprintf(" (%.0f orders/s)", float64(n)/s.Seconds)
	}
	for _, status := range []string{"completed", "rejected", "cancelled"} {
		if n := s.Ended[status]; n > 0 {
			line += fmt.Sprintf("\n  %-10s %d", status, n)
		}
	}
	if s.Open > 0 {
		line += fmt.Sprintf("\n  %-10s %d", "open", s.Open)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
