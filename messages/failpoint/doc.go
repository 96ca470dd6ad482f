// Package failpoint names the places between two arrows of the flow where a process may die. In an ordinary build Pass does
// nothing and costs nothing. A build with the tag failpoints kills itself, as kill -9 does, when it passes the point that
// CRASH_AT names for the n-th time: CRASH_AT=after-append:3. CRASH_AT=after-append:3:20ms delays the kill by that time, so
// that messages sent before arrive.
package failpoint

// Point is a place in the flow.
type Point string

// The points, in the order of the flow.
const (
	Delivered        Point = "delivered"
	BeforeAccept     Point = "before-accept"
	Accepted         Point = "accepted"
	BeforeCall       Point = "before-call"
	AfterCall        Point = "after-call"
	BeforeAppend     Point = "before-append"
	BeforeAttention  Point = "before-attention"
	HalfBatch        Point = "half-batch"
	AfterAppend      Point = "after-append"
	BeforeSchedule   Point = "before-schedule"
	Reparked         Point = "reparked"
	AfterSchedule    Point = "after-schedule"
	Woken            Point = "woken"
	Resumed          Point = "resumed"
	BeforeAck        Point = "before-ack"
	AfterAck         Point = "after-ack"
	BeforePurge      Point = "before-purge"
	AfterPurge       Point = "after-purge"
	BeforeDeadLetter Point = "before-dead-letter"
	AfterDeadLetter  Point = "after-dead-letter"
	BeforeLedger     Point = "before-ledger"
	AfterLedger      Point = "after-ledger"
	HalfIndex        Point = "half-index"
)

// All are the points, in the order of the flow.
var All = []Point{
	Delivered, BeforeAccept, Accepted, BeforeCall, AfterCall, BeforeAppend, BeforeAttention, HalfBatch, AfterAppend,
	BeforeSchedule, Reparked, AfterSchedule, Woken, Resumed, BeforeAck, AfterAck, BeforePurge, AfterPurge, BeforeDeadLetter,
	AfterDeadLetter, BeforeLedger, AfterLedger, HalfIndex,
}
