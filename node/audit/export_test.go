package audit

import "time"

// Overdue describes why a schedule for due should not be stored at that time, or returns "".
func Overdue(due, at time.Time) string { return timer{due: due}.overdue(at) }
