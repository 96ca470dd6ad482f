package servicecheck_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }
