// Package embedded runs a NATS server inside the node, for when no other is given.
//
// Ordering: Start takes the lock on the data directory before it opens the store, and returns when the store is
// recovered and the server listens. Shutdown closes the server first and lets go of the lock last, so that no two
// processes ever have the store open. Whoever uses the server drains its connections before Shutdown.
//
// Ownership: a Server owns its directory (by an advisory lock that the kernel drops with the process, however it
// ends), its listener and its goroutines; Shutdown waits for them.
//
// Failure: a store that cannot be opened or an address that cannot be listened on is an error of Start, with the
// directory unlocked again. What the server warns of later goes to the logger. After kill -9 the next Start recovers
// every message that was acknowledged; after a power cut too under strict durability, and all but the last SyncInterval
// under relaxed.
package embedded
