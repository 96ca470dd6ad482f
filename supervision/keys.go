package supervision

// Keys of log attributes.
const (
	keyError   = "error"
	keyOrderID = "order_id"
	keyKind    = "kind"
	keyDelay   = "delay"
	keyShard   = "shard"
	keyReason  = "reason"
	keyStack   = "stack"
)
