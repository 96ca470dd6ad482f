// Package timeline tells the story of one order from its journal, for people and for programs: what happened and when
// (Story, Event), where the order stands, what it waits for and what a person can do about it (View), and what a cancel
// would do (Cancellation).
package timeline
