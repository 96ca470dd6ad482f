package messages

// StoredMessage is a message that a stream stores.
type StoredMessage struct {
	Sequence uint64
	Type     Type
}
