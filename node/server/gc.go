package server

import (
	"os"
	"runtime/debug"
)

const (
	// gcPercent lets the heap grow to four times the live data before a collection. The live data is small and orders make much
	// short-lived garbage: Go's default would collect several times a second under load.
	gcPercent = 300
	// memoryLimit makes the collector run more often as the memory of Go's runtime nears it, in bytes. It leaves room for what the runtime
	// does not count, such as the memory of SQLite, below the 512 MB that a node may use.
	memoryLimit = 320 << 20
)

// TuneGC sets the garbage collector for the load of a node, unless GOGC is set.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// LimitMemory sets the soft memory limit of a node, unless GOMEMLIMIT is set.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
