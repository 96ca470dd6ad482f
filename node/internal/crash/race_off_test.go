//go:build !race

package crash_test

// heavy is by how much less is asked for under the race detector.
const heavy = 1
