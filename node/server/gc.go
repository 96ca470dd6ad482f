package server

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to four times the live data before a collection. The live data is small and orders make much
// short-lived garbage: Go's default would collect several times a second under load.
const gcPercent = 300

// TuneGC sets the garbage collector for the load of a node, unless GOGC is set. GOMEMLIMIT applies either way.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
