// Package journal appends to and reads the stream ORDER_EVENTS, the only truth about orders.
//
// Every append is fenced: it names the journal sequence of the order's last entry, and the stream refuses it when
// another entry got there first. Relaxed, each append is published at once and pipelined. With group commit, whatever
// waits is published as one atomic batch, which shares one sync to disk; one batch is in flight, and what arrives
// meanwhile is the next one, so that no timer is needed.
//
// An order is read backwards: its last entry first, and from each the one before, which the entry names. Each takes one
// round trip and a look-up by sequence. A history that is long, or that has an entry which names none, is read in pages,
// for which the server looks at every message in between. Either way the stream's leader says what the last entry is.
//
// # Ordering
//
// Appends of different orders may be stored in any order. An order's appends are kept in order by their fences alone;
// its owner has at most one in flight. Should two of one order meet all the same, even in one batch, the stream takes
// one of them and the other is a conflict: a batch that holds both is refused as a whole and taken apart.
//
// # Ownership
//
// An Append belongs to the journal from the call of Append until its Done is called, exactly once. Until Close
// returned, calls of Done follow one another and never overlap; the publishing goroutine never makes them, so a Done
// may call Append. Goroutines: the subscription's, which completes appends; one that watches deadlines and the
// connection; with group commit, one that commits. Close stops them and waits.
//
// # Failure
//
// An append whose reply is lost (time-out, lost connection) may or may not be stored: it ends as ErrConflict, like one
// whose fence missed, and its owner reads again. It may even be stored after that read, for the client library sends
// what it buffered once it is connected again. That is safe because the late append still carries its fence: if its
// owner, or anybody, has appended meanwhile, it is refused; if nobody has, it is stored and the owner's next append is
// refused, whereupon the owner reads and finds it. An append that certainly was not stored for a reason other than its
// fence ends as a delivery.Failure of kind Infrastructure.
package journal
