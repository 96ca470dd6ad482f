package messages

// CheckpointVersion is the version of checkpoints written by this program. Raise it when a field of Checkpoint changes its
// meaning, or when the state of an order gets a part that the fields do not hold.
const CheckpointVersion = 3

// CheckpointSupported reports whether this program understands c. It returns false for nil.
func CheckpointSupported(c *Checkpoint) bool {
	return c.GetVersion() == CheckpointVersion && c.GetFirst() > 0
}
