package bench

import (
	"fmt"
	"io"
	"time"
)

// WriteText writes the report as a Markdown table.
func (r *ParkedReport) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, %s, %d CPUs, %s; %d orders parked, due within %s; %d other orders/s during the wake-ups\n\n| durability |",
		r.Date.UTC().Format(time.DateOnly), r.System, r.CPUs, r.Go, r.Orders, r.Window, r.Rate)
	if err != nil {
		return err
	}
	rows := []struct {
		name  string
		value func(*ParkedResult) string
	}{
		{"to park all", func(p *ParkedResult) string { return p.Parking.Took.Round(10 * time.Millisecond).String() }},
		{"CPU to park an order", func(p *ParkedResult) string { return p.Parking.CPUPerOrder.Round(time.Microsecond).String() }},
		{"engine's heap per parked order, bytes", func(p *ParkedResult) string { return fmt.Sprint(p.EngineBytes) }},
		{"server's heap per parked order, bytes", func(p *ParkedResult) string { return fmt.Sprint(p.ServerBytes) }},
		{"CPU without orders, share of one", func(p *ParkedResult) string { return fmt.Sprintf("%.3f", p.EmptyCPU) }},
		{"CPU while all are parked, share of one", func(p *ParkedResult) string { return fmt.Sprintf("%.3f", p.IdleCPU) }},
		{"first order resumed after its time", func(p *ParkedResult) string { return roundDuration(p.Wakes.First).String() }},
		{"all resumed after the last was due", func(p *ParkedResult) string { return roundDuration(p.Wakes.AllResumed).String() }},
		{"all ended after the last was due", func(p *ParkedResult) string { return roundDuration(p.Wakes.AllEnded).String() }},
		{"CPU to wake an order and end it", func(p *ParkedResult) string { return p.Waking.CPUPerOrder.Round(time.Microsecond).String() }},
		{"largest heap during the wake-ups, MB", func(p *ParkedResult) string { return fmt.Sprint(p.PeakBytes >> 20) }},
		{"other orders during the wake-ups: p50, p99", func(p *ParkedResult) string {
			return fmt.Sprintf("%s, %s", roundDuration(p.Others.P50), roundDuration(p.Others.P99))
		}},
		{"taken over", func(p *ParkedResult) string { return fmt.Sprint(p.Wakes.Takeovers) }},
	}
	text := ""
	for _, m := range r.Modes {
		text += " " + string(m.Mode) + " |"
	}
	text += "\n| --- |"
	for range r.Modes {
		text += " ---: |"
	}
	for _, row := range rows {
		text += "\n| " + row.name + " |"
		for i := range r.Modes {
			text += " " + row.value(&r.Modes[i]) + " |"
		}
	}
	_, err = fmt.Fprintln(w, text)
	return err
}
