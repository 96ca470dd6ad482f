package bench

import (
	"fmt"
	"io"
	"time"
)

// WriteText writes the report as a Markdown table.
func (r *Report) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, %s, %d CPUs, %s; %d orders of four %s steps a round, medians of %d rounds; latency at %d orders/s\n\n"+
		"| durability | raw loop, orders/s | engine, orders/s | engine / raw | raw, CPU per order | engine, CPU per order | raw, p50 / p99 | engine, p50 | p95 | p99 |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
		r.Date.UTC().Format(time.DateOnly), r.System, r.CPUs, r.Go, r.Orders, r.Steps, r.Rounds, r.Rate)
	if err != nil {
		return err
	}
	for _, m := range r.Modes {
		if _, err := fmt.Fprintf(w, "| %s | %.0f | %.0f | %.2f | %s | %s | %s / %s | %s | %s | %s |\n", m.Mode,
			m.Raw.OrdersPerSecond, m.Engine.OrdersPerSecond, m.Ratio,
			m.Raw.CPUPerOrder.Round(time.Microsecond), m.Engine.CPUPerOrder.Round(time.Microsecond),
			roundDuration(m.RawLatency.P50), roundDuration(m.RawLatency.P99), roundDuration(m.Latency.P50), roundDuration(m.Latency.P95), roundDuration(m.Latency.P99)); err != nil {
			return err
		}
	}
	if err := r.writeIndexed(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nheap per waiting order: %d bytes of the engine's, besides %d bytes that server and client library hold for a raw delivery\n",
		r.Waiting.Engine, r.Waiting.Raw)
	return err
}

// writeIndexed writes the cost of an index, if it was measured.
func (r *Report) writeIndexed(w io.Writer) error {
	head := "\n| durability | engine with index, orders/s | with / without | CPU per order | lag at most |\n| --- | ---: | ---: | ---: | ---: |\n"
	for _, m := range r.Modes {
		if m.Index == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s| %s | %.0f | %.2f | %s | %s |\n", head, m.Mode, m.Index.OrdersPerSecond, m.Index.Ratio,
			m.Index.CPUPerOrder.Round(time.Microsecond), m.Index.Behind.Round(time.Millisecond)); err != nil {
			return err
		}
		head = ""
	}
	return nil
}

func roundDuration(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
