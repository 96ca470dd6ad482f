// Package embedded runs a NATS server inside the node, if no other is configured.
//
// Ordering: Start locks the data directory before it opens the store, and returns when the store is recovered and the server
// listens. Shutdown closes the server first and unlocks last, so that no two processes have the store open. Users of the server
// drain their connections before Shutdown.
//
// Ownership: a Server owns its directory (by an advisory lock that ends with the process), its listener and its goroutines;
// Shutdown waits for them.
//
// Failure: a store or address that cannot be opened is an error of Start, which unlocks the directory again. Later warnings of the
// server are logged. After kill -9 the next Start recovers every acknowledged message; after a power cut all of them in strict
// durability, and all but those of the last SyncInterval in relaxed.
package embedded
