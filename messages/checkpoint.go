package messages

// CheckpointVersion is that of the checkpoints written now. Raise it when a field of Checkpoint changes its meaning, or the
// state of an order has something that the fields do not tell.
const CheckpointVersion = 1

// Readable reports whether c is a checkpoint whose fields this program understands.
func CheckpointSupported(c *Checkpoint) bool {
	return c.GetVersion() == CheckpointVersion && c.GetFirst() > 0
}
