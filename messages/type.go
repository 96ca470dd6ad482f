package messages

// Type is the type of a message about an order, as in the Orderly-Type header.
type Type string

// Types of messages. Clients send all but TypeWake, which is a timer that fired.
const (
	TypeCreated Type = "order.created"
	TypeCancel  Type = "order.cancel"
	TypeSignal  Type = "order.signal"
	TypeRetry   Type = "order.retry"
	TypeSkip    Type = "order.skip"
	TypeWake    Type = "order.wake"
)
