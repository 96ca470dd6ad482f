package order

import "strings"

// MaxKept and MaxKeptBytes are the limits on the signals that an order keeps.
const (
	MaxKept      = maxKept
	MaxKeptBytes = maxKeptBytes
)

// Row is a line of the table, for reading.
type Row struct{ Rule, When string }

// Table is the table, first row first.
func Table() []Row {
	rows := make([]Row, len(table))
	for i, r := range table {
		rows[i] = Row{r.rule, r.when.String()}
	}
	return rows
}

// words of the facts in the order of a sentence.
var words = []struct {
	fact facts
	word string
}{
	{isWake, "wake"}, {isCreated, "created"}, {canEndAttention, "cancel, retry or skip"},
	{noOrder, "no order"}, {isParked, "parked"}, {inAttention, "attention"}, {hasEnded, "ended"},
	{idTaken, "created with other content"}, {isRecorded, "recorded"}, {isDriver, "the driver"}, {isOwner, "the owner"},
	{endsPark, "ends the park"}, {isExcess, "excess signal"},
	{staleRead, "journal older than the park"}, {thisPark, "of this park"}, {isDue, "due"},
	{predecessorsUnknown, "predecessors unknown"}, {hasPredecessor, "behind an earlier message"},
	{createdFollows, "its created message follows"}, {mayHaveOthers, "maybe with others in the inbox"},
	{awaitsAgain, "waits again"},
	{isExpired, "older than the age limit"}, {mayBeDeadLettered, "maybe dead-lettered"}, {mayBeRedelivered, "maybe redelivered"},
}

func (f facts) String() string {
	var all []string
	for _, w := range words {
		if f.has(w.fact) {
			all = append(all, w.word)
			f &^= w.fact
		}
	}
	if f != 0 {
		panic("a fact without a word")
	}
	if len(all) == 0 {
		return "anything else"
	}
	return strings.Join(all, ", ")
}
