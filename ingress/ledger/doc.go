// Package ledger keeps the stream ORDER_LEDGER: the evidence of what became of the inbox messages that no journal entry names.
// Those are messages without effect, dead letters, and messages of orders whose history was deleted. Together with the journal it
// accounts for every message that the inbox ever stored: a message that left the inbox and is in neither is lost.
//
// A record is a set of sequences of one kind, written as runs. A summary replaces all records before it, so that the ledger
// stays small: sequences that follow each other become one run, and an inbox whose orders have all been deleted is a single run.
//
// # Ordering
//
// A record is stored before its messages leave the inbox, or before the history that named them is deleted. The parts of a
// summary are stored before the summary, and what it replaces is deleted after it. So a sequence never leaves the ledger.
//
// # Ownership
//
// Any number of nodes may append and summarize at once: a record is a set, and storing it twice changes nothing. Of two nodes that
// summarize at once, the stream refuses the summary of one. A message that no node stored is passed over.
//
// # Failure
//
// After a failed Append the record may be stored. A crash leaves parts without a summary, which the next summary replaces.
package ledger
