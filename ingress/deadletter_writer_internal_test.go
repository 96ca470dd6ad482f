package ingress

import "testing"

// The writes of dead letters are bounded in number and bytes, and one alone has no bound.
func TestDeadLoad(t *testing.T) {
	var l deadLoad
	if !l.add(maxDeadBytes + 1) {
		t.Error("a large message is never written")
	}
	if l.add(1) {
		t.Error("more bytes than allowed are written")
	}
	l.remove(maxDeadBytes + 1)
	for i := range maxDeadWrites {
		if !l.add(1) {
			t.Fatalf("only %d messages are written at a time", i)
		}
	}
	if l.add(1) {
		t.Error("more messages than allowed are written")
	}
	l.remove(1)
	if !l.add(1) {
		t.Error("a message that is written makes no room")
	}
}
