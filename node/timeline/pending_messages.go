package timeline

import "fmt"

// PendingMessages is the error about an order that does not exist while messages about it are stored in the inbox.
type PendingMessages struct {
	// Messages counts the stored messages; More says that there may be more.
	Messages int
	More     bool
}

// Error does not name the order; the caller wraps it.
func (p *PendingMessages) Error() string {
	const unless = "unless it comes within ORDERLY_UNKNOWN_AGE"
	switch {
	case p.More:
		return fmt.Sprintf("%d messages or more about it wait, and become dead letters %s", p.Messages, unless)
	case p.Messages == 1:
		return "1 message about it waits, and becomes a dead letter " + unless
	}
	return fmt.Sprintf("%d messages about it wait, and become dead letters %s", p.Messages, unless)
}
