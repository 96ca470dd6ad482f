package messages

// Stored is a message that a stream stores.
type Stored struct {
	Sequence uint64
	Type     Type
}
