package server

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to four times what is live before it is collected. What is live is small, orders make
// much that dies young, and the default would collect several times a second under load.
const gcPercent = 300

// tuneGC sets the collector for carrying orders, unless GOGC says otherwise. GOMEMLIMIT is obeyed either way.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
