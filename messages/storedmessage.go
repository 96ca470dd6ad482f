package messages

// StoredMessage is a message that a stream stores.
type StoredMessage struct {
	// Sequence is the message's stream sequence.
	Sequence uint64
	Type     Type
}
