//go:build race

package crash_test

// raceFactor divides the load under the race detector, which slows the test process down by about as much.
const raceFactor = 4
