// Package timeline presents one order from its journal, as text and as JSON: its events (Story, Event), its state, its next
// call or wait and the possible actions of an operator (View), and a preview of a cancel (Cancellation).
package timeline
