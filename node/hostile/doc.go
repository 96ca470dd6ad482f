// Package hostile tests that no input harms a node: its memory stays below 512 MB, and well-behaved orders get through.
//
// Each test plays one hostile input against the real binary, in a process of its own with an embedded server. Meanwhile the test
// publishes well-behaved orders at a steady low rate. They must all complete, and the 99th percentile of their time to completion
// must stay below ten times that of quiet times, measured in the same run before and after the input.
//
// # Adding a scenario
//
// A scenario is a file with one test, whose name begins with TestHostile. It calls play with a scenario: its name, and
// the function that sends the input and returns when the node has taken it. Size the input with harness.size: a short form runs in
// every test run, the full one in make hostile (HOSTILE_FULL=1).
package hostile
