//go:build !failpoints

package failpoint

// Pass passes a point.
func Pass(Point) {}
