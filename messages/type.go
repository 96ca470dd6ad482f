package messages

// Type says what a message asks for.
type Type string

// The types of messages. Wake is ours alone: a fired timer.
const (
	TypeCreated Type = "order.created"
	TypeCancel  Type = "order.cancel"
	TypeSignal  Type = "order.signal"
	TypeRetry   Type = "order.retry"
	TypeSkip    Type = "order.skip"
	TypeWake    Type = "order.wake"
)
