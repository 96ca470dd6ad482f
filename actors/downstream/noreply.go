package downstream

import "time"

// noReplyDetector detects that a downstream has stopped replying. A failure rate cannot: it needs many calls and half of
// its window, and a few consecutive failures happen by chance under load (TestLibraryBreakerAlone). The limiter's lock guards
// it; the zero value is ready.
type noReplyDetector struct {
	// replyTime is a moving mean over about sixteen replies; 0 before the first reply.
	replyTime time.Duration
	// Since the last reply: calls made, the time of the first of them, and failures.
	calls    int
	first    time.Time
	failures int
}

// called registers a call. A call of an order that has just failed does not count, because its failure would not count either.
func (d *noReplyDetector) called(now time.Time, counts bool) {
	if d.first.IsZero() {
		d.first = now
	}
	if counts {
		d.calls++
	}
}

// withdraw removes a call made at that time: it did not reach the downstream.
func (d *noReplyDetector) withdraw(at time.Time) {
	if d.calls == 0 || at.Before(d.first) {
		return
	}
	if d.calls--; d.calls == 0 {
		d.first = time.Time{}
	}
}

// replied registers a reply to a call that took that long.
func (d *noReplyDetector) replied(took time.Duration) {
	if d.replyTime == 0 {
		d.replyTime = max(took, 1)
	}
	d.replyTime += (took - d.replyTime) / 16
	d.calls, d.first, d.failures = 0, time.Time{}, 0
}

// outage reports whether the lack of replies is unlikely to be chance. idle: nothing listens and no call is in flight.
//
// Many calls are evidence only after twice the usual reply time: a service that sheds part of a burst refuses first and replies
// later. Before the first reply of all the usual time is unknown.
func (d *noReplyDetector) outage(now time.Time, idle bool) bool {
	if d.failures < noReplyFailures || d.first.IsZero() {
		return false
	}
	silent := now.Sub(d.first)
	if d.replyTime == 0 && idle || silent >= noReplyTime {
		return true
	}
	return d.replyTime > 0 && d.calls >= noReplyCalls && silent >= 2*d.replyTime
}
