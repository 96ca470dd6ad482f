package timeline

import "fmt"

// Awaited says of an order that there is none yet, while messages about it wait in the inbox.
type PendingMessages struct {
	// Messages is how many wait, at least; More says that not all were counted.
	Messages int
	More     bool
}

// Error says what waits and what becomes of it; whoever hands it on names the order.
func (a *PendingMessages) Error() string {
	const unless = "unless it comes within ORDERLY_UNKNOWN_AGE"
	switch {
	case a.More:
		return fmt.Sprintf("%d messages or more about it wait, and become dead letters %s", a.Messages, unless)
	case a.Messages == 1:
		return "1 message about it waits, and becomes a dead letter " + unless
	}
	return fmt.Sprintf("%d messages about it wait, and become dead letters %s", a.Messages, unless)
}
