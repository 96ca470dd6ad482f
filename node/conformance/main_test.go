package conformance_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestMain lets more lines run at a time than there are processors: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...)
}
