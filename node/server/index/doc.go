// Package index lists orders by status, customer, reason and age without reading the journal for each query: it keeps one
// row per order in an embedded SQLite database that is fed from the journal and can be rebuilt from it at any time. The
// journal remains the authoritative state of an order.
//
// # Ordering
//
// One goroutine reads the journal forward, folds entries into rows in memory and writes the rows that are due, together
// with the sequence up to which every entry is in the database, in one transaction. Rows of parked, attention and ended
// orders are due at once, rows of running and compensating ones after Config.Hold, so that most orders cost one write.
// Replies merge the unwritten rows with the database. Entries that are read again after a stop are recognized by the
// sequence in the row.
//
// # Ownership
//
// A Run owns the lock on the directory, the database and the service on Subject until it returns. One process at a time
// has the index of a directory; others wait for the lock. The connection to NATS is the caller's.
//
// # Failure
//
// The index never fails its node. A corrupt database is renamed and rebuilt; a journal that was recreated, or has lost
// entries that were read, is read again from its beginning; any other failure is logged and retried while the replies say
// how far they lag behind. An entry that cannot be decoded is skipped.
package index
