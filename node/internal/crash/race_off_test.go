//go:build !race

package crash_test

// raceFactor divides the load under the race detector.
const raceFactor = 1
