// Package journal appends to and reads the stream ORDER_EVENTS, the authoritative state of all orders.
//
// Every append is fenced: it names the journal sequence of the order's last entry, and the stream refuses it if another
// message was stored since. Without group commit, appends are published at once and pipelined. With it, appends that wait at
// the same time are published as one atomic batch, which shares one sync to disk (natsclient.Publisher).
//
// An order is read backwards: its last entry first, and from each the one before, which the entry names. Each takes one
// round trip and a look-up by sequence. A history that is long, or that foreign messages follow, is read in pages, for which
// the server looks at every message in between. In both cases the stream's leader determines the last entry.
//
// Not every message on an order's subject is an entry: JetStream acknowledges a publish to whatever subject the publisher
// names, with the server's rights. Reads pass over messages that no node stored (Chain), and return their last sequence as the
// fence. The next entry is appended after them and names the entry before them: from then on they cost no read anything.
//
// # Ordering
//
// Appends of different orders may be stored in any order. An order's appends are kept in order by their fences alone; its
// owner has at most one in flight. If two of one order are in flight, even in one batch, the stream stores one of them and
// the other is a conflict: a batch that holds both is refused as a whole and divided.
//
// # Ownership
//
// An Append belongs to the journal from the call of Append until its Done is called, exactly once. Until Close has
// returned, calls of Done follow one another and never overlap, and no Done is called by Append, so a Done may call
// Append. Goroutines: those of a natsclient.Publisher and of a natsclient.Requester. Close stops them and waits.
//
// # Failure
//
// An append whose reply is lost (timeout, lost connection) may or may not be stored: it ends as ErrConflict, like one whose
// fence missed, and its owner must read the order again. It may even be stored after that read, because nats.go sends its
// buffer after a reconnect. That is safe because the late append still has its fence: if another entry was stored since, it
// is refused; if not, it is stored, the owner's next append is refused, and the owner reads the late entry. An append that
// certainly was not stored for a reason other than its fence ends as a delivery.Failure of kind Infrastructure.
package journal
