// Package timeline presents one order from its journal, as text and as JSON: its events (Story, Event), its state, what it
// waits for and what an operator can do (View), and what a cancel would do (Cancellation).
package timeline
