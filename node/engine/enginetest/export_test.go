package enginetest

import "github.com/orderly-engine/orderly/messages"

// CrashEverywhereInBubble is CrashEverywhere for a caller that is inside a bubble.
var CrashEverywhereInBubble = crashEverywhere

// Answered lets f replace what the orders of a case get for a call, as a service would answer that is no function.
func (c *Case) Answered(f func(*messages.StepReply, error) (*messages.StepReply, error)) {
	c.answered = f
}
