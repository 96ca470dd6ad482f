//go:build race

package crash_test

// heavy is by how much less is asked for under the race detector, which watches the world and makes it that much slower.
const heavy = 4
