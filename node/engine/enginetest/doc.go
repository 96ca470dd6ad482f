// Package enginetest runs plans in tests, without NATS: an engine whose journal, inbox and timers are in memory, and whose
// supervisors, order actors, step calls and rules are the real ones.
//
// An Env runs orders inside a bubble of testing/synctest. Its clock, which step functions use too, jumps over waits: an
// order that is attempted again after a day, or whose pending step times out after a week, takes microseconds. The test sends
// messages, kills the node, and asserts the order's status and the calls made.
//
// CrashEverywhere runs an order to its end repeatedly, each time with a crash at another point, and finds steps that act twice
// under one idempotency key, or undos that leave something done.
package enginetest
