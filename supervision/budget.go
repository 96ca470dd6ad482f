package supervision

import "time"

// window counts the events of the last span of a Budget. The zero value is empty.
type window struct {
	times []time.Time
}

// spend records an event and reports whether it was still within the budget. It keeps at most Count+1 times.
func (w *window) spend(b Budget, now time.Time) bool {
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= b.Within {
		old++
	}
	w.times = append(w.times[old:], now)
	if len(w.times) > b.Count {
		w.times = w.times[len(w.times)-b.Count-1:]
		return false
	}
	return true
}

func (w *window) reset() { w.times = w.times[:0] }

// roll is a window in which each name counts once, from the latest time it was seen. The zero value is empty.
type roll struct {
	seen map[string]time.Time
}

// spend records an event of name and reports whether the names of the last span are still within the budget.
func (r *roll) spend(b Budget, name string, now time.Time) bool {
	if r.seen == nil {
		r.seen = make(map[string]time.Time)
	}
	r.seen[name] = now
	for n, at := range r.seen {
		if now.Sub(at) >= b.Within {
			delete(r.seen, n)
		}
	}
	return len(r.seen) <= b.Count
}

// outage is a run of infrastructure failures without a success in between.
type outage struct {
	since, last time.Time
}

// failed records a failure and returns how long the run has gone on. After a silence longer than gap a new run begins:
// failures far apart do not add up.
func (o *outage) failed(now time.Time, gap time.Duration) time.Duration {
	if o.since.IsZero() || now.Sub(o.last) > gap {
		o.since = now
	}
	o.last = now
	return now.Sub(o.since)
}

func (o *outage) over() { *o = outage{} }
