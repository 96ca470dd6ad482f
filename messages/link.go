package messages

import "strconv"

// HeaderExpected is the fence of every journal entry: the last sequence on the order's subject when the entry was stored. The
// server checks it before it stores a message, and keeps it.
const HeaderExpected = "Nats-Expected-Last-Subject-Sequence"

// Link is the place that a message in the journal claims in the history of its order.
type Link struct {
	// Number of the entry within the order, from 1; Previous is the sequence of the entry before it, 0 for the first.
	Number, Previous uint64
	// Expected is the message's fence, at least Previous: foreign messages may be stored in between.
	Expected uint64
}

// Place is where a message stands after the entries of its order.
type Place uint8

const (
	// Foreign: no node stored the message there. It is passed over.
	Foreign Place = iota
	// Next: it is the next entry.
	Next
	// Gap: it follows an entry that is missing.
	Gap
)

// After returns the place of the message after the entry of that number at sequence last; 0 and 0: after no entry. A node
// never appends to an entry that has a successor, nor names as previous what is stored after the fence.
func (l Link) After(number, last uint64) Place {
	switch {
	case l.Previous == last && l.Number == number+1:
		return Next
	case l.Number <= number+1 || l.Previous <= last || l.Previous > l.Expected:
		return Foreign
	}
	return Gap
}

// Fence returns the fence of a journal message from its headers; false if they are not those of an entry.
func Fence(header map[string][]string) (expected uint64, ok bool) {
	fence := header[HeaderExpected]
	if len(header[HeaderEvent]) == 0 || len(fence) == 0 {
		return 0, false
	}
	expected, err := strconv.ParseUint(fence[0], 10, 64)
	return expected, err == nil
}
