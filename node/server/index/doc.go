// Package index answers which orders are in a status, of a customer, or of an age, without reading the journal for each
// question: it keeps one row per order in an embedded SQLite database that is fed from the journal and can be rebuilt from
// it at any time. The journal stays the only truth about an order.
//
// # Ordering
//
// One goroutine reads the journal forward, folds entries into rows in memory and writes the rows that are due, together
// with the sequence up to which every entry is in the database, in one transaction. Rows of orders that rest or have ended
// are due at once, rows of orders under way after Config.Hold, so that most orders cost one write. Answers merge the rows that
// are not written yet with those that are. What is read again after a stop is recognized by the sequence in the row.
//
// # Ownership
//
// A Run owns the lock on the directory, the database and the service on Subject until it returns. One process at a time
// keeps an index in a directory; another one waits for the lock and takes over when it is let go. The connection to NATS
// is the caller's.
//
// # Failure
//
// The index never fails its node. A database that cannot be read is moved aside and built anew; a journal that was
// recreated, or has lost entries that were read, is read anew from its beginning; any other failure is logged and tried
// again while the answers say how far behind they are. An entry that cannot be decoded is passed over.
package index
