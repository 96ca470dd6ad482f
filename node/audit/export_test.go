package audit

import "time"

// Overdue says what is wrong with a schedule for due that is still stored at the time given, or "".
func Overdue(due, at time.Time) string { return timer{due: due}.overdue(at) }
